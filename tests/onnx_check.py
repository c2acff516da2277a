#!/usr/bin/env python3
"""Checks that exported ONNX models have the same scores in ONNX Runtime as in citronella-nn, within 1e-5.

usage: onnx_check.py [DIR]    DIR: output of `cargo run -p citronella-nn --example onnx_samples DIR`; default: run that first
"""
import pathlib, subprocess, sys, tempfile

try:
    import numpy as np, onnx, onnxruntime
except ImportError as missing:
    print(f"skipped: {missing} (pip install onnx onnxruntime)")
    sys.exit(0)

root = pathlib.Path(__file__).resolve().parent.parent
worst, count = 0.0, 0
with tempfile.TemporaryDirectory() as temporary:
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else temporary)
    if len(sys.argv) < 2:
        subprocess.run(["cargo", "run", "-q", "-p", "citronella-nn", "--example", "onnx_samples", temporary], cwd=root, check=True)
    for path in sorted(folder.glob("*.onnx")):
        onnx.checker.check_model(onnx.load(path), full_check=True)
        rows, steps, inputs, outputs = map(int, path.with_suffix(".shape").read_text().split())
        x = np.fromfile(path.with_suffix(".x"), "<f4").reshape(rows, steps, inputs)
        ours = np.fromfile(path.with_suffix(".p"), "<f4").reshape(rows, outputs)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        theirs = session.run(None, {"x": x})
        difference = float(np.abs(theirs[0] - ours).max())
        if len(theirs) > 1:
            difference = max(difference, float(np.abs(theirs[1][:, -1] - ours).max()))
        print(f"{path.stem}: largest difference {difference:.2e}")
        worst, count = max(worst, difference), count + 1
if count == 0 or worst > 1e-5:
    sys.exit(f"failed: {count} models, largest difference {worst:.2e}")
print(f"passed: {count} models")
