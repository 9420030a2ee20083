"""The lab: questions about batch normalization, each a command, a plot and a number.

`tinygrad-bn lab list`, `lab run NAME --out DIR`, `lab report DIR`. An experiment is one class in
`experiments/`; `runner` carries it out, cell by cell, and resumes; `report` writes the page. The
instruments it measures with are in `tinygrad_bn.diagnostics`.
"""
