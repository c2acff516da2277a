#!/usr/bin/env python3
"""Compares the classical models with scikit-learn on the same rows and split.

usage: tests/zoo_sklearn.py [--level biflow|uniflow|packet] [--speed] [DATA...]   (DATA: recordings; data/lab/run-1, run-2)

Accuracies must agree within 0.5 points, those of forests and SVMs within 1. With --speed, trees, forests and k-NN must not
take more than 1.5 times as long as scikit-learn's. Prints "skipped" and exits with 0 if numpy or scikit-learn is missing.
"""
import argparse, json, os, pathlib, subprocess, sys, tempfile, time

try:
    import numpy as np
    import sklearn
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC, LinearSVC
    from sklearn.tree import DecisionTreeClassifier
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(0)

ROOT = pathlib.Path(__file__).resolve().parent.parent
SVM_ROWS = 5_000
MODELS = {  # name: (scikit-learn's model, tolerance in points of accuracy)
    "logistic-regression": (lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)), 0.5),
    "k-nn": (lambda: KNeighborsClassifier(5, n_jobs=-1), 0.5),
    "naive-bayes": (GaussianNB, 0.5),
    "decision-tree": (lambda: DecisionTreeClassifier(criterion="entropy", random_state=0), 0.5),
    "random-forest": (lambda: RandomForestClassifier(10, criterion="entropy", random_state=0, n_jobs=-1), 1.0),
    "svm-rbf": (lambda: make_pipeline(StandardScaler(), SVC(kernel="rbf", gamma="scale")), 1.0),
    "svm-linear": (lambda: make_pipeline(StandardScaler(), LinearSVC(max_iter=5000)), 1.0),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--level", default="biflow")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("data", nargs="*", default=[ROOT / "data/lab/run-1", ROOT / "data/lab/run-2"])
    arguments = parser.parse_args()
    names = arguments.models.split(",")
    with tempfile.TemporaryDirectory() as out:
        command = ["cargo", "run", "--quiet", "--release", "-p", "citronella-learn", "--example", "zoo", "--",
                   out, arguments.level, ",".join(names), *map(str, arguments.data)]
        ours = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
        load = lambda name, kind: np.fromfile(os.path.join(out, name), dtype=kind)
        width = ours["inputs"]
        x_train, x_test = (load(f"x_{part}.f32", "<f4").reshape(-1, width) for part in ("train", "test"))
        y_train, y_test = (load(f"y_{part}.u32", "<u4") for part in ("train", "test"))
        predicted = {name: load(f"{name}.u32", "<u4") for name in names}
    print(f"scikit-learn {sklearn.__version__}; {arguments.level}: {len(y_train)} training rows, {len(y_test)} test rows, "
          f"{width} inputs, {len(ours['classes'])} classes")
    rng, failed = np.random.default_rng(0), []
    for name in names:
        make, tolerance = MODELS[name]
        rows = slice(None)
        if name == "svm-rbf" and len(y_train) > SVM_ROWS:
            rows = rng.choice(len(y_train), SVM_ROWS, replace=False)
        model = make()
        begin = time.perf_counter(); model.fit(x_train[rows], y_train[rows]); fit_s = time.perf_counter() - begin
        begin = time.perf_counter(); theirs = model.predict(x_test); predict_s = time.perf_counter() - begin
        mine = ours["models"][name]
        accuracy, our_accuracy = (theirs == y_test).mean() * 100, (predicted[name] == y_test).mean() * 100
        faults = []
        if abs(accuracy - our_accuracy) > tolerance:
            faults.append(f"more than {tolerance} points apart")
        total, other = mine["fit_s"] + mine["predict_s"], fit_s + predict_s
        if arguments.speed and name in ("random-forest", "decision-tree", "k-nn") and total > 1.5 * other:
            faults.append("more than 1.5 times as slow")
        failed += faults
        print(f"{name:20} accuracy {our_accuracy:7.3f} % (scikit-learn {accuracy:7.3f} %), same prediction {100 * (theirs == predicted[name]).mean():7.3f} %, "
              f"fit {mine['fit_s']:.3f} s ({fit_s:.3f} s), predict {mine['predict_s']:.3f} s ({predict_s:.3f} s) {'; '.join(faults)}")
    sys.exit(1 if failed else 0)


main()
