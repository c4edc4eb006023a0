import ast
import pathlib

import mpijob_runtime

ROOT = pathlib.Path(mpijob_runtime.__file__).parent


def public_names(tree):
    """Yield each public name that a module defines, functions with their parameters."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield f"{node.name}({ast.unparse(node.args)})"
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield f"class {node.name}"
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                    yield f"{node.name}.{inner.name}({ast.unparse(inner.args)})"
                elif isinstance(inner, ast.AnnAssign) and not inner.target.id.startswith("_"):
                    yield f"{node.name}.{inner.target.id}: {ast.unparse(inner.annotation)}"
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            yield from (name for name in names if not name.startswith("_"))


def test_the_public_api_is_as_recorded(golden):
    """A public name that comes, goes or changes its parameters is a decision, seen in a diff."""
    lines = []
    for path in sorted(ROOT.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        lines += [f"{name}: {entry}\n" for entry in public_names(tree)]
    assert len(lines) > 100
    golden("public_api.txt", "".join(lines))


def test_the_package_is_typed():
    """Users' type checkers see our annotations."""
    assert (ROOT / "py.typed").exists()
