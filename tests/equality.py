#!/usr/bin/env python3
"""Checks that a change leaves everything that the program computes as it was.

usage: tests/equality.py record PROGRAM FILE [RECORDING...]
       tests/equality.py check PROGRAM FILE [RECORDING...]

`record` runs PROGRAM on every recording of data/lab (or on those named, such as run-1) and writes SHA-256 hashes to
FILE; `check` runs it again and compares. For each capture: `extract` at all four levels, `detect --verdicts`, and the
alerts of `detect --eve`; for each recording: ten figures of `evaluate --json`.

Scores depend on the instruction set of the CPU: AVX-512 and AVX2 round differently. FILE names the set that it was
recorded with; on another one, hashes of scores are skipped and the script says so. Alerts are compared field by field:
a field that was renamed keeps its value (RENAMED), and prose is left out (`explanation`, and of each reason all but the
column's name). Exit status: 0 equal, 1 different, 2 usage.
"""
import concurrent.futures
import hashlib
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LAB = ROOT / "data" / "lab"
LEVELS = ["packet", "uniflow", "biflow", "sequence"]
FIGURES = ["accuracy", "macro_f1", "mcc", "recall", "precision", "f1", "false_positive_rate", "pr_auc", "roc_auc",
           "macro_pr_auc"]
# Fields of `alert.context` by their earlier names.
RENAMED = {
    "found_by": "detected_by",
    "calls_by_rules": "findings_by_rules",
    "packets_until_called": "packets_until_flagged",
    "calls_of_other_classes": "findings_of_other_classes",
    "rules_beside": "related_rules",
}


def run(program, *arguments):
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, cwd=ROOT)
    if done.returncode != 0:
        raise SystemExit(f"{program} {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stderr.decode()}")
    return done.stdout


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def alerts(records):
    """The alert records, in a form that renamed fields and prose do not change."""
    lines = []
    for record in map(json.loads, records.splitlines()):
        if record["event_type"] != "alert":
            continue
        context = {RENAMED.get(key, key): value for key, value in record["alert"]["context"].items()}
        context.pop("explanation", None)
        context.pop("model", None)
        for reason in context.get("reasons", []):
            reason["feature"] = re.sub(r".*\((\w+)\)$", r"\1", reason["feature"])
        record["alert"]["context"] = context
        lines.append(json.dumps(record, sort_keys=True))
    return "\n".join(lines).encode()


def of_capture(program, capture):
    name = capture.relative_to(LAB)
    for level in LEVELS:
        yield f"extract {level} {name}", sha256(run(program, "extract", "--level", level, capture))
    yield f"verdicts {name}", sha256(run(program, "detect", "-r", capture, "--verdicts", "-"))
    records = run(program, "detect", "-r", capture, "--eve", "-", "--eve-types", "alert")
    yield f"alerts {name}", sha256(alerts(records))


def of_recording(program, folder):
    figures = json.loads(run(program, "evaluate", "--json", folder))
    values = json.dumps([figures.get(name) for name in FIGURES])
    yield f"evaluate {folder.name}", sha256(values.encode())


def hashes(program, recordings):
    folders = [LAB / name for name in recordings] or sorted(path for path in LAB.iterdir() if path.is_dir())
    jobs = []
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for folder in folders:
            jobs += [pool.submit(lambda c: list(of_capture(program, c)), c) for c in sorted(folder.glob("*.pcap.zst"))]
            jobs.append(pool.submit(lambda f: list(of_recording(program, f)), folder))
        return dict(pair for job in jobs for pair in job.result())


def recording_of(name):
    return name.split(" ")[-1].split("/")[0]


def instruction_set():
    flags = pathlib.Path("/proc/cpuinfo").read_text() if pathlib.Path("/proc/cpuinfo").exists() else ""
    return "avx512" if "avx512f" in flags else "avx2" if "avx2" in flags else "portable"


def main(arguments):
    if len(arguments) < 3 or arguments[0] not in ("record", "check"):
        print(__doc__.split("\n\n")[1], file=sys.stderr)
        return 2
    task, program, path, *recordings = arguments
    program, path = str(pathlib.Path(program).resolve()), pathlib.Path(path)
    now = hashes(program, recordings)
    if task == "record":
        lines = [f"# {instruction_set()}"] + [f"{value}  {name}" for name, value in now.items()]
        path.write_text("\n".join(lines) + "\n")
        print(f"{path}: {len(now)} hashes")
        return 0
    header, *lines = path.read_text().splitlines()
    before = {name: value for value, name in (line.split("  ", 1) for line in lines)}
    if recordings:
        before = {name: value for name, value in before.items() if recording_of(name) in recordings}
    scores = ("verdicts ", "alerts ", "evaluate ")
    recorded_with = header.removeprefix("# ")
    if recorded_with != instruction_set():
        print(f"skipped: hashes of scores were recorded with {recorded_with}; this CPU has {instruction_set()}")
        before = {name: value for name, value in before.items() if not name.startswith(scores)}
        now = {name: value for name, value in now.items() if not name.startswith(scores)}
    different = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    for name in different:
        print(f"different: {name}")
    print(f"{len(before.keys() & now.keys()) - len(different)} of {len(before)} hashes are equal")
    return 1 if different or not before else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
