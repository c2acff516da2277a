#!/usr/bin/env python3
"""Checks the direction of imports: between the folders of a crate, and between the workspace's crates.

usage: import_cycles.py [--self-test]        run it in the repository's root

Within a crate, every file or folder directly under src/ is a node, and every `use` or path from one node to another is
an edge; tests, lib.rs and main.rs are left out. A cycle is an error. Between crates, a dependency that ALLOWED does not
list is an error, and so is clap anywhere but in the command line. Exit code: 0 if there is no error, 1 if there is one.
"""
import pathlib
import re
import subprocess
import sys
import tempfile
import tomllib

ALLOWED = {
    "wire": set(),
    "nn": set(),
    "sensor": {"wire", "nn"},
    "eve": {"sensor", "wire"},
    "config": {"nn", "sensor", "eve"},
    "learn": {"sensor", "nn", "wire"},
    "citronella": {"wire", "nn", "sensor", "eve", "config", "learn"},
}
COMMAND_LINE = "citronella"
PREFIX = "citronella-"

# Comments, strings and characters, whose text is no path; a lifetime is no character.
NOISE = re.compile(r"""//[^\n]*|/\*.*?\*/|b?r(\#*)".*?"\1|b?"(?:\\.|[^"\\])*"|b?'(?:\\.[^']*|[^'\\])'""", re.S)
MODULE = re.compile(r"(#\[cfg\(test\)\]\s*(?:#\[[^\]]*\]\s*)*)?\b(?:pub(?:\([^)]*\))?\s+)?mod\s+\w+\s*\{")
PATH = re.compile(r"\b(crate|super)\s*::\s*")
ROOT_EXPORT = re.compile(r"\bpub(?:\([^)]*\))?\s+use\s+(?:self::|crate::)?([a-z_0-9]+)::([^;]+);")


def closing_brace(text, start):
    """The index after the block whose opening brace is at `start`."""
    depth = 0
    for match in re.finditer(r"[{}]", text[start:]):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return start + match.end()
    return len(text)


def first_names(text, at):
    """The first name of each path that begins at `at`, which may be a group in braces."""
    if text[at : at + 1] != "{":
        name = re.compile(r"\w+").match(text, at)
        return [(name[0], name.end())] if name else []
    end, names, depth = closing_brace(text, at), [], 0
    for match in re.finditer(r"[{},]|\w+", text[at:end]):
        if match[0] in "{}":
            depth += 1 if match[0] == "{" else -1
        elif depth == 1 and re.search(r"[{,]\s*$", text[at : at + match.start()]):
            names.append((match[0], at + match.end()))
    return names


class Crate:
    """The modules of a crate and their imports."""

    def __init__(self, source):
        self.source = source
        self.nodes = {path.stem for path in source.iterdir() if path.suffix == ".rs" or path.is_dir()}
        self.nodes -= {"lib", "main", "bin"}
        self.edges = {node: {} for node in self.nodes}
        # The crate root's re-exports, by name: `crate::Frame` is an import from its module.
        self.exports = {}
        root = source / "lib.rs"
        if root.is_file():
            text = NOISE.sub(" ", root.read_text())
            for match in ROOT_EXPORT.finditer(text):
                for name in re.findall(r"\w+(?=\s*(?:[,}]|$))", match[2]):
                    self.exports[name] = match[1]
        for path in sorted(source.rglob("*.rs")):
            module = list(path.relative_to(source).with_suffix("").parts)
            if module[0] in self.nodes and not re.search(r"(^|_)tests$", module[-1]):
                self.read(path, module)

    def read(self, path, module):
        text = NOISE.sub(" ", path.read_text())
        inline, tests = [], []
        for match in MODULE.finditer(text):
            block = (match.start(), closing_brace(text, match.end() - 1))
            (tests if match[1] else inline).append(block)
        for match in PATH.finditer(text):
            at = match.start()
            if any(start <= at < end for start, end in tests):
                continue
            if re.search(r"\b(?:super|self)\s*::\s*$", text[:at]):
                continue  # a later `super` of a path that is already followed
            depth = 0 if match[1] == "crate" else len(module) + sum(start <= at < end for start, end in inline)
            self.follow(path, module[0], text, match.end(), depth if match[1] == "crate" else depth - 1)

    def follow(self, path, node, text, at, depth):
        """Adds the edges of a path that continues at `at`, in a module `depth` levels below the root."""
        for name, end in first_names(text, at):
            rest = re.compile(r"\s*::\s*").match(text, end)
            if name == "super" and rest:
                self.follow(path, node, text, rest.end(), depth - 1)
            elif depth <= 0:
                target = name if name in self.nodes else self.exports.get(name)
                if target in self.nodes and target != node:
                    self.edges[node].setdefault(target, path.relative_to(self.source))

    def cycles(self):
        """The sets of nodes that reach each other."""
        def reach(start):
            seen, todo = set(), [start]
            while todo:
                new = set(self.edges[todo.pop()]) - seen
                seen |= new
                todo += new
            return seen

        reached = {node: reach(node) for node in self.nodes}
        in_cycle = {node for node in self.nodes if node in reached[node]}
        return {frozenset(other for other in in_cycle if other in reached[node] and node in reached[other])
                for node in in_cycle}


def dependencies(manifest, kinds):
    """The names of the packages that a manifest's tables of these kinds depend on."""
    for table in [manifest, *manifest.get("target", {}).values()]:
        for kind in kinds:
            for name, value in table.get(kind, {}).items():
                yield value.get("package", name) if isinstance(value, dict) else name


def errors(root):
    found = []
    for folder in sorted(path.parent for path in root.glob("crates/*/Cargo.toml")):
        name = folder.name
        if (folder / "src").is_dir():
            crate = Crate(folder / "src")
            for cycle in sorted(map(sorted, crate.cycles())):
                found.append(f"{name}: import cycle between {', '.join(cycle)}")
                for node in cycle:
                    for target, path in sorted(crate.edges[node].items()):
                        if target in cycle:
                            found.append(f"    {node} -> {target}, first in {path}")
        manifest = tomllib.loads((folder / "Cargo.toml").read_text())
        if name not in ALLOWED:
            found.append(f"{name}: unknown crate; list what it may depend on in ALLOWED")
            continue
        for package in dependencies(manifest, ["dependencies", "build-dependencies"]):
            if package.startswith(PREFIX) and package.removeprefix(PREFIX) not in ALLOWED[name]:
                found.append(f"{name}: must not depend on {package}")
        if name != COMMAND_LINE and "clap" in dependencies(
            manifest, ["dependencies", "build-dependencies", "dev-dependencies"]
        ):
            found.append(f"{name}: must not depend on clap; only {COMMAND_LINE} may")
    return found


def self_test():
    """Runs this script on small workspaces, one without an error and several with one."""
    sound = {
        "crates/wire/Cargo.toml": "[dependencies]\nthiserror = '2'\n",
        "crates/wire/src/lib.rs": "mod frame;\nmod ip;\npub use frame::{Frame, Layer as Level};\n",
        "crates/wire/src/frame.rs": "use crate::ip::Ip;\n",
        "crates/wire/src/ip.rs": "// see crate::frame\n/// \"crate::frame\"\nconst A: &str = \"crate::frame::Frame\";\n"
        "#[cfg(test)]\nmod tests {\n    use crate::frame::Frame;\n}\n",
        "crates/sensor/Cargo.toml": "[dependencies]\ncitronella-wire.workspace = true\n"
        "[dev-dependencies]\ncitronella-eve.workspace = true\n",
        "crates/sensor/src/lib.rs": "mod flow;\nmod feature;\n",
        "crates/sensor/src/flow.rs": "mod key;\nuse self::key::Key;\n",
        "crates/sensor/src/flow/key.rs": "use super::Flow;\n",
        "crates/sensor/src/feature.rs": "use crate::{\n    feature::csv,\n    flow::{Flow, Key},\n};\n",
        "crates/citronella/Cargo.toml": "[dependencies]\nclap = '4'\ncitronella-sensor = { path = '../sensor' }\n",
    }
    cases = [
        ("no error", {}, None),
        ("a path", {"crates/wire/src/ip.rs": "fn f() -> crate::frame::Frame {}\n"}, "between frame, ip"),
        ("a group", {"crates/sensor/src/flow/key.rs": "use crate::{\n    flow::Flow,\n    feature::Row,\n};\n"},
         "between feature, flow"),
        ("super", {"crates/sensor/src/flow/key.rs": "use super::super::feature::Row;\n"}, "between feature, flow"),
        ("a group of super", {"crates/sensor/src/flow/key.rs": "use super::{Flow, super::feature::Row};\n"},
         "between feature, flow"),
        ("an inline module", {"crates/sensor/src/flow.rs": "mod row {\n    use super::super::feature::Row;\n}\n"},
         "between feature, flow"),
        ("a re-export", {"crates/wire/src/ip.rs": "use crate::Level;\n"}, "between frame, ip"),
        ("an upward dependency", {"crates/wire/Cargo.toml": "[dependencies]\ncitronella-sensor.workspace = true\n"},
         "wire: must not depend on citronella-sensor"),
        ("a renamed dependency",
         {"crates/wire/Cargo.toml": "[target.'cfg(unix)'.dependencies]\ns = { package = 'citronella-sensor' }\n"},
         "wire: must not depend on citronella-sensor"),
        ("clap below the command line", {"crates/sensor/Cargo.toml": "[dev-dependencies]\nclap = '4'\n"},
         "sensor: must not depend on clap"),
        ("an unknown crate", {"crates/other/Cargo.toml": ""}, "other: unknown crate"),
    ]
    failed = 0
    for name, changes, expected in cases:
        with tempfile.TemporaryDirectory() as folder:
            for path, text in {**sound, **changes}.items():
                file = pathlib.Path(folder, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
            command = [sys.executable, str(pathlib.Path(__file__).resolve())]
            run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
            code = 0 if expected is None else 1
            if run.returncode != code or (expected or "") not in run.stdout:
                failed += 1
                print(f"{name}: exit code {run.returncode} instead of {code}, or not {expected!r}:\n"
                      f"{run.stdout}{run.stderr}")
    print(f"{len(cases) - failed} of {len(cases)} cases passed")
    return int(failed > 0)


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    if sys.argv[1:]:
        sys.exit(__doc__)
    root = pathlib.Path.cwd()
    if not any(root.glob("crates/*/Cargo.toml")):
        sys.exit("import_cycles.py: no crates/*/Cargo.toml here; run it in the repository's root")
    found = errors(root)
    print("\n".join(found) if found else "no import cycle, no dependency against the direction")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
