"""The record of which kernel sources have been verified on a GPU, and which not.

    python -m tools.gpu.record

brings the hashes of `backends/cupy/verified.json` up to date: a source that has changed counts as
not verified until `make test-gpu` has run on a GPU. The README's sentence follows the record.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
KERNELS = ROOT / "backends" / "cupy" / "kernels"
RECORD = ROOT / "backends" / "cupy" / "verified.json"
README = ROOT / "README.md"
NEVER = "never"
CHECKS = ("cross-checks", "suite", "memcheck", "racecheck", "synccheck")
"""What has to pass for a kernel to count as verified; see `verify`."""
MARKED = re.compile(r"(<!-- gpu record -->\n).*?(\n<!-- end of gpu record -->)", re.DOTALL)

Record = dict[str, Any]


def hashes() -> dict[str, str]:
    """SHA-256 of every file that kernels are compiled from, by name."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(KERNELS.glob("*.cu*"))
    }


def load() -> Record:
    """The record as it is; that of no verification if there is none."""
    if not RECORD.exists():
        return {"verified": NEVER, "kernels": {}}
    return json.loads(RECORD.read_text(encoding="utf-8"))


def differences(record: Record) -> list[str]:
    """What the record says wrongly of the sources, a sentence each."""
    known, now = record["kernels"], hashes()
    return [
        *(
            f"{n}: changed since it was recorded"
            for n in now
            if n in known and known[n]["sha256"] != now[n]
        ),
        *(f"{n}: not in the record" for n in now if n not in known),
        *(f"{n}: in the record, and gone" for n in known if n not in now),
    ]


def updated(record: Record) -> Record:
    """The record with the hashes of today: only what has not changed stays verified."""
    known = record["kernels"]
    kernels = {}
    for name, digest in hashes().items():
        same = known.get(name, {}).get("sha256") == digest
        kernels[name] = {"sha256": digest, "verified": same and known[name]["verified"]}
    fresh = {**record, "kernels": kernels}
    return {**fresh, "statement": statement(fresh)}


def statement(record: Record) -> str:
    """What the README says of the record."""
    kernels = record["kernels"]
    if record["verified"] == NEVER:
        return (
            f"**Verified on a GPU: never.** None could be had while this was built, so none of the "
            f"{len(kernels)} kernel sources has run on one."
        )
    results = record["results"]
    failed = [name for name in CHECKS if name in results and not results[name]["passed"]]
    lacking = [name for name in CHECKS if name not in results]
    head = f"{record['verified']} on {record['device']}, driver {record['driver']}"
    if failed or lacking:
        parts = {"failed": failed, "not run": lacking}
        told = "; ".join(f"{what}: {', '.join(names)}" for what, names in parts.items() if names)
        return f"**Run on a GPU, not verified:** {head}; {told}."
    changed = [name for name, k in kernels.items() if not k["verified"]]
    since = f"; changed since, and not verified: {', '.join(changed)}" if changed else ""
    return (
        f"**Verified on a GPU:** {head}, all checks passed, {len(kernels) - len(changed)} of "
        f"{len(kernels)} kernel sources{since}."
    )


def passed(record: Record) -> bool:
    """Whether every check has run and passed."""
    return all(record["results"].get(name, {}).get("passed") for name in CHECKS)


def write(record: Record) -> None:
    """Write the record, and its sentence into the README."""
    RECORD.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    text = README.read_text(encoding="utf-8")
    sentence = record["statement"]
    README.write_text(MARKED.sub(lambda m: m[1] + sentence + m[2], text), encoding="utf-8")


def main() -> None:
    """Bring the record up to date, and say what it says."""
    record = updated(load())
    write(record)
    print(record["statement"])


if __name__ == "__main__":
    main()
