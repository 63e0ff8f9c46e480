"""Argument lists of the serving engines, read from their released wheels → catalog/data/flags.

    python tools/flags.py [FOLDER]            # make flags; wheels stay in FOLDER, if it is given
    python tools/flags.py --trtllm SOURCES    # TensorRT-LLM: PyPI has no wheel, so from its sources

Nothing of the engines is installed or run: their sources are parsed, and constants, literals and
dataclass fields are followed by name. Kept are facts alone: name, aliases, type, choices, default.
"""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "chipwise/catalog/data/flags"
# Gigabytes that the wheels take at most.
ROOM = 3
WHEELS = {
    "vllm": "0.33.0",
    "sglang": "0.5.23",
    "ai-dynamo": "1.6.1",
    "vllm-router": "0.1.17",
    "sglang-router": "0.3.2",
}
PLATFORMS = (*(f"manylinux_2_{minor}_x86_64" for minor in (17, 28, 34, 35)), "any")
UNKNOWN = object()


@dataclass
class Sources:
    """Python files by module name, parsed when they are asked for."""

    texts: Mapping[str, str]
    trees: dict[str, ast.Module] = field(default_factory=dict)

    def tree(self, module: str) -> ast.Module | None:
        if module not in self.trees and module in self.texts:
            self.trees[module] = ast.parse(self.texts[module])
        return self.trees.get(module)

    def within(self, prefix: str) -> list[str]:
        return sorted(m for m in self.texts if m == prefix or m.startswith(f"{prefix}."))


def _module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def of_wheel(path: Path) -> Sources:
    with zipfile.ZipFile(path) as wheel:
        names = [n for n in wheel.namelist() if n.endswith(".py")]
        return Sources({_module(n): wheel.read(n).decode("utf-8", "replace") for n in names})


def of_folder(path: Path) -> Sources:
    files = sorted(path.rglob("*.py"))
    return Sources(
        {_module(str(f.relative_to(path))): f.read_text(encoding="utf-8") for f in files}
    )


def defined(sources: Sources, module: str, name: str, depth: int = 8) -> tuple[str, ast.AST] | None:
    """Where a name is defined: the module and the value, annotation or class, imports followed."""
    tree = sources.tree(module)
    if tree is None or not depth:
        return None
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
                return module, value
            case ast.AnnAssign(target=ast.Name(id=found), value=value) if found == name and value:
                return module, value
            case ast.ClassDef(name=found) if found == name:
                return module, node
            case ast.ImportFrom(module=origin, names=names) if origin:
                for alias in names:
                    if (alias.asname or alias.name) == name:
                        return defined(sources, origin, alias.name, depth - 1)
    return None


def value(sources: Sources, module: str, node: ast.AST | None) -> Any:  # noqa: PLR0911
    """A constant, list or literal; UNKNOWN for what only a run would tell."""
    match node:
        case ast.Constant(value=found):
            return found
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = value(sources, module, operand)
            return -inner if isinstance(inner, (int, float)) else UNKNOWN
        case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts):
            found = [value(sources, module, p) for p in parts]
            return UNKNOWN if any(f is UNKNOWN for f in found) else found
        case ast.Subscript(value=ast.Name(id="Literal"), slice=inner):
            found = value(sources, module, inner)
            return found if isinstance(found, list) or found is UNKNOWN else [found]
        case ast.Call(func=ast.Name(id="list" | "get_args" | "sorted"), args=[inner]):
            return value(sources, module, inner)
        case ast.Call(func=ast.Name(id="Field" | "field"), args=args, keywords=words):
            named = {k.arg: k.value for k in words}
            return value(sources, module, named.get("default", args[0] if args else None))
        case ast.Name(id=name):
            where = defined(sources, module, name)
            return UNKNOWN if where is None else value(sources, *where)
    return UNKNOWN


def plain(found: Any) -> Any:
    """A default as JSON can hold it; one that depends on the machine is left out."""
    return None if found is UNKNOWN or isinstance(found, bytes) else found


def union(sources: Sources, module: str, node: ast.AST | None) -> Iterator[ast.AST]:
    """Members of an annotation, aliases followed."""
    match node:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            yield from union(sources, module, left)
            yield from union(sources, module, right)
        case ast.Subscript(value=ast.Name(id="Optional" | "Annotated" | "SkipValidation"), slice=s):
            yield from union(sources, module, s.elts[0] if isinstance(s, ast.Tuple) else s)
        case ast.Subscript(value=ast.Name(id="Union"), slice=ast.Tuple(elts=parts)):
            for part in parts:
                yield from union(sources, module, part)
        case ast.Name(id=name) if (where := defined(sources, module, name)) is not None:
            alias = isinstance(where[1], (ast.Subscript, ast.BinOp))
            yield from union(sources, *where) if alias else [node]
        case ast.AST():
            yield node


def kind(sources: Sources, module: str, annotation: ast.AST | None) -> dict[str, Any]:
    """Type of a field's flag: switch, int, float, str, json, with choices and whether many."""
    members = list(union(sources, module, annotation))
    names = {n.id for n in members if isinstance(n, ast.Name)}
    heads = {ast.unparse(n.value) for n in members if isinstance(n, ast.Subscript)}
    literal = [n for n in members if ast.unparse(n).startswith("Literal[")]
    if "bool" in names:
        return {"type": "switch"}
    if literal:
        choices = value(sources, module, literal[0])
        # Beside a plain text the literals are what is known; a plug-in may add others.
        key = "known" if "str" in names else "choices"
        return {"type": "str"} | ({} if choices is UNKNOWN else {key: choices})
    if heads & {"list", "List", "tuple", "set"}:
        return {"type": "str", "many": True}
    if names & {"int", "float"}:
        return {"type": "int" if "int" in names else "float"}
    return {"type": "str" if "str" in names or not (names | heads) else "json"}


def fields(sources: Sources, module: str, config: str) -> dict[str, dict[str, Any]]:
    """Fields of a configuration class and of those it inherits from, as flags."""
    where = defined(sources, module, config)
    if where is None or not isinstance(where[1], ast.ClassDef):
        return {}
    home, node = where
    found: dict[str, dict[str, Any]] = {}
    for base in node.bases:
        if isinstance(base, ast.Name):
            found |= fields(sources, home, base.id)
    for each in node.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            default = plain(value(sources, home, each.value)) if each.value else None
            found[each.target.id] = {**kind(sources, home, each.annotation), "default": default}
    return found


def _named(call: ast.Call) -> dict[str, ast.AST]:
    return {k.arg: k.value for k in call.keywords if k.arg}


def _types(sources: Sources, module: str, words: Mapping[str, ast.AST]) -> dict[str, Any]:
    """Type, choices and default that a call of add_argument states."""
    found: dict[str, Any] = {}
    action = ast.unparse(words["action"]) if "action" in words else ""
    if any(name in action for name in ("store_true", "store_false", "StoreConst", "StoreTrue")):
        found["type"] = "flag"
    elif "BooleanOptional" in action:
        found["type"] = "switch"
    elif "type" in words:
        name = ast.unparse(words["type"])
        found["type"] = name if name in ("int", "float") else "json" if "json" in name else "str"
    if "choices" in words:
        choices = value(sources, module, words["choices"])
        if choices is not UNKNOWN:
            found["choices"] = choices
    if "nargs" in words:
        found["many"] = True
    if "default" in words:
        found["default"] = plain(value(sources, module, words["default"]))
    return found


def arguments(sources: Sources, module: str, method: str = "add_argument") -> dict[str, Any]:
    """Flags of every call of add_argument in a module, fields of configuration classes too."""
    tree = sources.tree(module)
    assert tree is not None, f"{module} is not in the wheel"
    configs = {}
    for node in ast.walk(tree):
        match node:
            case ast.Assign(
                targets=[ast.Name(id=name)],
                value=ast.Call(func=ast.Name(id="get_kwargs"), args=[ast.Name(id=config)]),
            ):
                configs[name] = fields(sources, module, config)
    found: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == method:
            found |= _argument(sources, module, node, configs)
    return found


def _argument(
    sources: Sources, module: str, call: ast.Call, configs: Mapping[str, Any]
) -> dict[str, Any]:
    words = _named(call)
    names = [_spelt(a) for a in call.args]
    if "flag_name" in words:  # Dynamo's own helper
        names = [value(sources, module, words["flag_name"])]
        names += value(sources, module, words.get("alias")) or [] if "alias" in words else []
    names = [n for n in names if isinstance(n, str) and n.startswith("-")]
    if not names:
        return {}
    told: dict[str, Any] = {"type": "str"}
    for star in (k.value for k in call.keywords if k.arg is None):
        for each in ast.walk(star):
            match each:
                case ast.Subscript(value=ast.Name(id=table), slice=ast.Constant(value=key)):
                    told = dict(configs.get(table, {}).get(key, told))
    # Dynamo names the type of a flag arg_type.
    words |= {"type": words["arg_type"]} if "arg_type" in words else {}
    told |= _types(sources, module, words)
    long = next((n for n in names if n.startswith("--")), names[0])
    return {long: _entry([n for n in names if n != long], told)}


def _spelt(node: ast.AST) -> Any:
    """A flag's name; of one that is put together, the part that is always there."""
    match node:
        case ast.Constant(value=found):
            return found
        case ast.JoinedStr(values=parts):
            return "".join(str(p.value) for p in parts if isinstance(p, ast.Constant))
    return None


def _entry(aliases: list[str], told: Mapping[str, Any]) -> dict[str, Any]:
    """A flag as it is kept: what is usual is left out."""
    kept: dict[str, Any] = {"aliases": aliases} if aliases else {}
    kept["type"] = told.get("type", "str")
    for name in ("choices", "known", "many", "default"):
        if told.get(name) not in (None, [], False):
            kept[name] = told[name]
    return kept


def vllm(sources: Sources) -> dict[str, dict[str, Any]]:
    serve = arguments(sources, "vllm.engine.arg_utils")
    home = "vllm.entrypoints.common.cli_args"
    for name, told in fields(sources, home, "FrontendArgs").items():
        serve[f"--{name.replace('_', '-')}"] = _entry([], told)
    serve |= arguments(sources, home)
    bench = arguments(sources, "vllm.benchmarks.serve")
    for module in sources.within("vllm.benchmarks.datasets"):
        bench |= arguments(sources, module)
    return {"vllm serve": serve, "vllm bench serve": bench}


def sglang(sources: Sources) -> dict[str, dict[str, Any]]:
    serve: dict[str, Any] = {}
    for module in sources.within("sglang.srt.arg_groups.fields"):
        for node in ast.walk(sources.tree(module)):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                serve |= _annotated(sources, module, node)
    serve |= arguments(sources, "sglang.srt.server_args")
    bench = arguments(sources, "sglang.benchmark.serving")
    return {"sglang.launch_server": serve, "sglang.bench_serving": bench}


def _annotated(sources: Sources, module: str, node: ast.AnnAssign) -> dict[str, Any]:
    """A field ``name: A[type, Arg(…)] = default``."""
    match node.annotation:
        case ast.Subscript(value=ast.Name(id="A"), slice=ast.Tuple(elts=[annotation, *rest])):
            told = kind(sources, module, annotation)
        case _:
            return {}
    words: dict[str, ast.AST] = {}
    for each in rest:
        if isinstance(each, ast.Call) and ast.unparse(each.func) == "Arg":
            words = _named(each)
    if "no_cli" in words:
        return {}
    if told["type"] == "switch":
        told["type"] = "flag"
    if "type_parser" in words:
        told = {"type": "json" if "json" in ast.unparse(words["type_parser"]) else "str"}
    told |= _types(sources, module, words)
    told["default"] = plain(value(sources, module, node.value)) if node.value else None
    assert isinstance(node.target, ast.Name)
    name = value(sources, module, words["cli_name"]) if "cli_name" in words else None
    aliases = value(sources, module, words.get("aliases")) if "aliases" in words else []
    return {name or f"--{node.target.id.replace('_', '-')}": _entry(aliases, told)}


def dynamo(sources: Sources) -> dict[str, dict[str, Any]]:
    runtime: dict[str, Any] = {}
    for module in sources.within("dynamo.common.configuration.groups"):
        runtime |= _dynamo(sources, module)
    return {
        "dynamo.vllm": {**runtime, **_dynamo(sources, "dynamo.vllm.backend_args")},
        "dynamo.sglang": {**runtime, **_dynamo(sources, "dynamo.sglang.backend_args")},
        "dynamo.trtllm": {**runtime, **_dynamo(sources, "dynamo.trtllm.backend_args")},
        "dynamo.frontend": {**runtime, **_dynamo(sources, "dynamo.frontend.frontend_args")},
    }


def _dynamo(sources: Sources, module: str) -> dict[str, Any]:
    found = arguments(sources, module)
    for name, told in arguments(sources, module, "add_negatable_bool_argument").items():
        found[name] = {**told, "type": "switch"}
    return found


def router(sources: Sources) -> dict[str, dict[str, Any]]:
    name = next(m for m in sources.texts if m.endswith("_router.router_args")).partition(".")[0]
    return {f"{name}.launch_router": arguments(sources, f"{name}.router_args")}


def trtllm(sources: Sources) -> dict[str, dict[str, Any]]:
    """Options that click takes, by command, and fields of the YAML that overrides them."""
    found: dict[str, dict[str, Any]] = {}
    commands = {"serve": "trtllm-serve", "disaggregated": "trtllm-serve disaggregated"}
    for module in sources.within("tensorrt_llm.commands.serve"):
        for node in ast.walk(sources.tree(module)):
            if isinstance(node, ast.FunctionDef) and node.name in commands:
                flags: dict[str, Any] = {}
                for mark in node.decorator_list:
                    if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "click.option":
                        flags |= _clicked(sources, module, mark)
                found[commands[node.name]] = flags
    args = "tensorrt_llm.llmapi.llm_args"
    for name in ("TorchLlmArgs", "KvCacheConfig", "CacheTransceiverConfig"):
        found[f"{name} (YAML)"] = {
            key: _entry([], told) for key, told in fields(sources, args, name).items()
        }
    return found


def _clicked(sources: Sources, module: str, mark: ast.Call) -> dict[str, Any]:
    told = _argument(sources, module, mark, {})
    words = _named(mark)
    for entry in told.values():
        if "is_flag" in words:
            entry["type"] = "flag"
        match words.get("type"):
            case ast.Call(args=[choices, *_]):
                known = value(sources, module, choices)
                entry.update({} if known is UNKNOWN else {"choices": known})
    return told


READERS = {
    "vllm": vllm,
    "sglang": sglang,
    "ai-dynamo": dynamo,
    "vllm-router": router,
    "sglang-router": router,
}


def fetch(package: str, release: str, folder: Path) -> Path:
    """The wheel of a release, downloaded and not installed."""
    free = shutil.disk_usage(folder).free / 1e9
    assert free > ROOM, f"{folder} has {free:.1f} GB free; the wheels take up to {ROOM}"
    stem = package.replace("-", "_")
    if not (found := sorted(folder.glob(f"{stem}-{release}-*.whl"))):
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps"]
        command += ["--only-binary=:all:", "--python-version", "3.12", "--dest", str(folder)]
        command += [part for platform in PLATFORMS for part in ("--platform", platform)]
        subprocess.run([*command, f"{package}=={release}"], check=True)
        found = sorted(folder.glob(f"{stem}-{release}-*.whl"))
    return found[0]


def kept(package: str, release: str, source: str, commands: Mapping[str, Any]) -> str:
    """The file of an engine: a flag on a line, in order of name."""
    head = {"engine": package, "version": release, "source": source}
    lines = [f"  {json.dumps(k)}: {json.dumps(v)}," for k, v in head.items()]
    lines.append('  "commands": {')
    for number, (command, flags) in enumerate(commands.items(), 1):
        lines.append(f"    {json.dumps(command)}: {{")
        rows = [f"      {json.dumps(n)}: {json.dumps(flags[n])}" for n in sorted(flags)]
        lines += [f"{row}," for row in rows[:-1]] + rows[-1:]
        lines.append("    }" + ("," if number < len(commands) else ""))
    return "\n".join(["{", *lines, "  }", "}", ""])


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["--trtllm"]:
        folder = Path(arguments[1])
        release, source = (folder / "RELEASE").read_text(encoding="utf-8").strip().split(" ", 1)
        text = kept("tensorrt_llm", release, source, trtllm(of_folder(folder)))
        (OUT / "trtllm.json").write_text(text, encoding="utf-8")
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(arguments[0] if arguments else temporary)
        for package, release in WHEELS.items():
            wheel = fetch(package, release, folder)
            commands = READERS[package](of_wheel(wheel))
            file = OUT / f"{package.removeprefix('ai-')}.json"
            text = kept(package, release, f"wheel {wheel.name}", commands)
            file.write_text(text, encoding="utf-8")
            print(f"{file.name}: {', '.join(f'{k} {len(v)}' for k, v in commands.items())}")


if __name__ == "__main__":
    main(sys.argv[1:])
