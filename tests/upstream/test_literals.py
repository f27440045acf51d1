"""Python configurations: literals are read, code is refused, and nothing runs."""

from pathlib import Path

import pytest

from splitnest.errors import UsageError
from splitnest.upstream.files import read_file, read_text
from splitnest.upstream.limits import MAX_DEPTH, MAX_TEXT


def test_empty_text_has_no_values() -> None:
    assert read_text("", "config") == {}
    assert read_text('"""Only a docstring."""\n# and a comment\n', "config") == {}


def test_literals_of_configurations() -> None:
    text = """
norm_cfg = dict(type='SyncBN', requires_grad=True)
scale = (1333, 800)
model = dict(
    type='MaskRCNN',  # a comment
    backbone=dict(depth=50, norm_cfg=norm_cfg, frozen_stages=-1, **{'style': "caffe"}),
    beta=1.0 / 9.0,
    names=['a'] + ['b'],
    text='one '
         'text',
    none=None)
total = 12 * 2
first = scale[0]
nested = norm_cfg['type']
mapping = dict({'a-b': 1})
"""
    values = read_text(text, "config")
    assert values["model"] == {
        "type": "MaskRCNN",
        "backbone": {
            "depth": 50,
            "norm_cfg": {"type": "SyncBN", "requires_grad": True},
            "frozen_stages": -1,
            "style": "caffe",
        },
        "beta": 1 / 9,
        "names": ["a", "b"],
        "text": "one text",
        "none": None,
    }
    assert (values["scale"], values["total"], values["first"], values["nested"]) == ((1333, 800), 24, 1333, "SyncBN")
    assert values["mapping"] == {"a-b": 1}


HOSTILE = {
    "import": "import os",
    "import from": "from os import path",
    "__import__": "a = __import__('os').system('touch {marker}')",
    "call": "a = open('{marker}', 'w')",
    "call in a dict": "a = dict(b=dict(c=eval('1')))",
    "dict with a positional call": "a = dict(print(1))",
    "method": "a = 'x'.format(1)",
    "attribute": "a = {{}}.__class__",
    "comprehension": "a = [x for x in (1, 2)]",
    "dict comprehension": "a = {{x: 1 for x in (1, 2)}}",
    "generator": "a = dict(x for x in [])",
    "f-string": "a = f'{{1}}'",
    "lambda": "a = lambda: 1",
    "condition": "a = 1 if True else 2",
    "if": "if True:\n    a = 1",
    "for": "for a in (1,): b = a",
    "while": "while True: pass",
    "def": "def f(): pass",
    "class": "class A: pass",
    "del": "a = 1\ndel a",
    "walrus": "a = (b := 1)",
    "star": "a = [*'abc']",
    "two targets": "a, b = 1, 2",
    "item assignment": "a = dict()\na['b'] = 1",
    "attribute assignment": "a.b = 1",
    "augmented": "a = 1\na += 1",
    "power": "a = 9 ** 9",
    "shift": "a = 1 << 99",
    "repeated text": "a = 'a' * 1000",
    "repeated list": "a = [0] * 1000",
    "bytes": "a = b'x'",
    "complex": "a = 1j",
    "unknown name": "a = b",
    "builtin": "a = print",
    "set": "a = {{1, 2}}",
    "huge integer": "a = 1" + "0" * 20,
    "more digits than Python reads": "a = 1" + "0" * 5000,
    "infinite": "a = 1e999",
    "overflow": "a = 1e308 * 10.0",
    "division by zero": "a = 1 / 0",
    "deep lists": "a = " + "[" * 300 + "]" * 300,
    "deep calls": "a = " + "dict(b=" * 60 + "1" + ")" * 60,
    "deep signs": "a = " + "-" * 5000 + "1",
    "deep sums": "a = " + "+".join("1" * 3000),
    "deep attributes": "a = _base_" + ".x" * 3000,
    "deep items": "a = dict()\nb = a" + "[0]" * 3000,
    "deep names": "a0 = [0]\n" + "".join(f"a{i + 1} = [a{i}]\n" for i in range(100)),
    "growing names": "a0 = [0, 0]\n" + "".join(f"a{i + 1} = [a{i}, a{i}]\n" for i in range(30)),
    "growing text": "a0 = 'aaaaaaaa'\n" + "".join(f"a{i + 1} = a{i} + a{i}\n" for i in range(40)),
    "growing list": "a0 = [0]\n" + "".join(f"a{i + 1} = a{i} + a{i}\n" for i in range(40)),
    "too long": "a = '" + "a" * MAX_TEXT + "'",
    "not Python": "a = (1",
    "unfinished text": "a = '''",
    "null byte": "a = '\0'",
    "other brackets": "a = [1)",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_code_and_excess_are_refused(text: str, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    text = text.replace("{marker}", str(marker)).replace("{{", "{").replace("}}", "}")
    with pytest.raises(UsageError, match=r"^config"):
        read_text(text, "config")
    assert not marker.exists()


def test_the_line_is_named() -> None:
    with pytest.raises(UsageError, match=r"config, line 3: open\('x'\) is a call, which is no literal"):
        read_text("a = 1\n\nb = open('x')\n", "config")
    with pytest.raises(UsageError, match="config, line 2: import os has the keyword import"):
        read_text("a = 1\nimport os\n", "config")
    with pytest.raises(UsageError, match="config, line 2: b is not assigned before"):
        read_text("a = 1\nc = [a, b]\n", "config")


def write(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    return folder / f"{next(iter(texts))}.py"


def test_inherited_files_are_merged(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        main="""
_base_ = ['./model.py', 'data.py']
model = dict(backbone=dict(depth=101), head=dict(_delete_=True, type='New'), neck=None)
steps = {{_base_.steps}}
same = _base_.steps
first = {{ _base_.steps[0] }}
""",
        model="""
model = dict(type='A', backbone=dict(type='R', depth=50), head=dict(type='Old', old=1), neck=dict(type='F'))
""",
        data="steps = [dict(type='Load')]",
    )
    assert read_file(main) == {
        "model": {"type": "A", "backbone": {"type": "R", "depth": 101}, "head": {"type": "New"}, "neck": None},
        "steps": [{"type": "Load"}],
        "same": [{"type": "Load"}],
        "first": {"type": "Load"},
    }


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"main": "_base_ = 'main.py'"}, "form a circle"),
        ({"main": "_base_ = 'a.py'", "a": "_base_ = 'main.py'"}, "form a circle"),
        ({"main": "_base_ = 'missing.py'"}, "cannot be read"),
        ({"main": "_base_ = '/etc/passwd'"}, "relative path"),
        ({"main": "_base_ = 'mmdet::a.py'"}, "relative path"),
        ({"main": "_base_ = 'https://x/a.py'"}, "relative path"),
        ({"main": "_base_ = 'notes.txt'"}, "another kind of file"),
        ({"main": "_base_ = 3"}, "path of a file"),
        ({"main": "_base_ = ['a.py', 'b.py']", "a": "x = 1", "b": "x = 2"}, "two of the files in _base_ have x"),
        ({"main": "_base_ = 'a.py'\nx = dict(y=1)", "a": "x = 1"}, "_delete_=True"),
        ({"main": "_base_ = 'a.py'\nx = _base_.y", "a": "x = 1"}, "_base_.y does not exist"),
        ({"main": "_base_ = 'a.py'", "a": "x = open('b')"}, r"a\.py, line 1"),
    ],
)
def test_inheritance_that_is_refused(texts: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        read_file(write(tmp_path, **texts))


def test_number_of_files_is_limited(tmp_path: Path) -> None:
    """Each file is inherited twice by the one before, so that the last one would be read 2**40 times."""
    texts = {f"a{n}": f"_base_ = ['a{n + 1}.py', 'a{n + 1}.py']" for n in range(40)}
    with pytest.raises(UsageError, match=r"a0\.py inherits from more than 50 files"):
        read_file(write(tmp_path, **texts, a40=""))


def test_text_of_a_checkpoint_reads_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, a="x = 1")
    with pytest.raises(UsageError, match=r"inherits from a\.py"):
        read_text("_base_ = 'a.py'", "epoch_1.pth")


def test_yaml_inherits_and_is_safe(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("MODEL:\n  MASK_ON: true\n  RPN: {A: 1}\n")
    main = tmp_path / "main.yaml"
    main.write_text("_BASE_: base.yaml\nMODEL:\n  RPN: {B: 2}\n")
    assert read_file(main) == {"MODEL": {"MASK_ON": True, "RPN": {"A": 1, "B": 2}}}
    for text, message in {
        "_BASE_: main.yaml": "circle",
        "_BASE_: /etc/passwd": "relative path",
        "_BASE_: [a]": "path of a file",
        "- 1": "not a mapping",
        "a: !!python/object/apply:os.system ['true']": "plain YAML",
        "a: &a [*a]": "nested more than",
        "a0: &a0 [0, 0]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 30)): "more than",
        "a: " + "[" * 100 + "]" * 100: "nested more than",
    }.items():
        main.write_text(text)
        with pytest.raises(UsageError, match=message):
            read_file(main)


def test_depth_that_configurations_have_is_read() -> None:
    depth = MAX_DEPTH // 2 - 1
    assert read_text("a = " + "dict(b=" * depth + "1" + ")" * depth, "config")["a"]
