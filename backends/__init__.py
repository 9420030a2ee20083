"""The backends that ship with the package; each is loaded by name, at first use."""
