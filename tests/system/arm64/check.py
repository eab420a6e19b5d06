"""Check the records of a run on standard input: some frames, and something found in them.

Usage: check.py [LABEL] < records.jsonl    (LABEL, where given, must be among what was found)
"""

import collections
import json
import sys


def main() -> int:
    """Print what was found; return 1 where that is not enough."""
    wanted = sys.argv[1:2]
    records = [json.loads(line) for line in sys.stdin]
    frames = [record for record in records if record["type"] == "detections"]
    found = collections.Counter(
        detection["label"] for frame in frames for detection in frame["detections"]
    )
    print(f"{len(frames)} frames, found: {dict(found) or 'nothing'}")
    if not found:
        print("failed: no detections", file=sys.stderr)
        return 1
    if wanted and wanted[0] not in found:
        print(f"failed: no {wanted[0]} among them", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
