"""`aes-audit ratings sheet`: what raters get, what they must not get, and what is said when it cannot be made."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from ratings.recorded_pairs import MODEL, Recorded, recorded

from aes_audit.ratings.sheet import read_key

SMALL = ("--number=12", "--raters=5", "--per-rater=6")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Thirty pairs: 18 wide, 9 original, 3 ties."""
    return recorded(tmp_path_factory.mktemp("run"), [1.0] * 18 + [0.0] * 9 + [0.5] * 3)


def data_of(page: Path) -> Any:
    """What the page of a rater knows."""
    found = re.search(r'<script type="application/json" id="sheet">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found
    return json.loads(found[1])


def test_every_rater_gets_a_folder_of_their_own_with_a_page_and_its_pictures(run: Recorded) -> None:
    assert run.sheet(*SMALL, output="web") == 0
    folder = run.folder / "web"
    assert sorted(path.name for path in folder.iterdir()) == [f"rater-0{number}" for number in range(1, 6)]
    for rater in folder.iterdir():
        data = data_of(rater / "index.html")
        assert len(data["pages"]) == 6
        named = {picture["file"] for page in data["pages"] for picture in page["pictures"]}
        assert named == {str(path.relative_to(rater)) for path in rater.rglob("*.png")}
        assert len(named) == 12
    key = run.key("web")
    seen = Counter(page["unit"] for pages in key["raters"].values() for page in pages)
    assert set(seen) == set(range(12))
    assert set(seen.values()) == {2, 3}


def test_the_sample_is_stratified_by_the_answer_of_the_judge(run: Recorded, capsys: pytest.CaptureFixture[str]) -> None:
    run.sheet(*SMALL, "--number=10", output="proportional")
    assert "10 by the answer of preference/oracle: 3 original, 1 tie, 6 wide" in capsys.readouterr().err
    run.sheet(*SMALL, "--shares=equal", output="equal")
    assert "4 original, 3 tie, 5 wide" in capsys.readouterr().err
    for unit in run.key("equal")["units"]:
        assert unit["stratum"] == {0.0: "original", 0.5: "tie", 1.0: "wide"}[run.answers[unit["item"]]]


def test_the_sides_are_shuffled_and_the_pictures_are_where_the_key_says(run: Recorded) -> None:
    run.sheet(*SMALL, output="sides")
    sheet = read_key(run.folder / "sides.key.json")
    lefts = []
    for rater, pages in sheet.raters.items():
        assert [page.left for page in pages].count("wide") == 3
        for number, page in enumerate(pages, 1):
            lefts.append((page.unit, page.left))
            for side, label in zip(("left", "right"), sheet.shown(page), strict=True):
                with Image.open(run.folder / "sides" / rater / f"pictures/{number:02}-{side}.png") as shown:
                    colour = shown.getpixel((0, 0))
                item = int(sheet.units[page.unit].item[1:])
                assert colour == (item, 255 * (label == "wide"), 77)
    # Some pair is seen from both sides by different raters.
    assert any(count == 2 for count in Counter(unit for unit, _ in set(lefts)).values())


def test_raters_learn_neither_model_nor_item_nor_side_nor_answer(run: Recorded) -> None:
    run.sheet(*SMALL, output="blind")
    key = run.key("blind")
    secrets = {MODEL, "secretive", "oracle", "preference/", "stratum", '"wide"', "original", "parameters"}
    secrets |= {str(digest) for unit in key["units"] for digest in unit["images"].values()}
    for file in (run.folder / "blind").rglob("*"):
        if not file.is_file():
            continue
        content = file.read_bytes().decode("latin-1")
        assert not [secret for secret in secrets if secret in content], file
    assert not list((run.folder / "blind").rglob("*key*"))
    # What is left to compare: the same pair has the same bytes, whichever side it is on.
    with Image.open(next((run.folder / "blind").rglob("*.png"))) as shown:
        assert shown.info == {}


def test_a_hostile_prompt_stays_text(tmp_path: Path) -> None:
    hostile = '</script><script>alert(1)</script><!-- <img src=x onerror=alert(2)> {{{{script}}}} & "\u2028 {item}'
    run = recorded(tmp_path, [1.0, 0.0], hostile)
    run.sheet("--number=2", "--raters=1", "--per-rater=2")
    page = run.folder / "sheet/rater-01/index.html"
    text = page.read_text()
    assert text.count("<script") == 2
    assert "<img" not in text
    assert "alert(1)</script>" not in text
    assert {each["text"] for each in data_of(page)["pages"]} == {hostile.format(item=f"p00{n}") for n in range(2)}


def test_the_page_may_load_pictures_and_nothing_else(run: Recorded) -> None:
    run.sheet(*SMALL, output="policy")
    text = (run.folder / "policy/rater-01/index.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy
    assert policy[1].startswith("default-src 'none'")
    assert "unsafe" not in policy[1]
    assert not re.search(r"https?://", text)


def test_the_same_seed_gives_the_same_sheet_and_another_one_another(run: Recorded) -> None:
    for output, seed in (("one", 7), ("same", 7), ("other", 8)):
        run.sheet(*SMALL, f"--seed={seed}", output=output)
    page = "rater-03/index.html"
    assert (run.folder / "one" / page).read_bytes() == (run.folder / "same" / page).read_bytes()
    assert run.key("one") == run.key("same")
    assert run.key("one")["id"] != run.key("other")["id"]


def test_a_table_to_fill_in_has_the_text_and_the_pictures_and_no_formula(tmp_path: Path) -> None:
    run = recorded(tmp_path, [1.0, 0.0], '=HYPERLINK("x", "{item}")')
    run.sheet("--number=2", "--raters=2", "--per-rater=2", "--format=csv")
    folder = run.folder / "sheet/rater-02"
    rows = list(csv.DictReader(io.StringIO((folder / "sheet.csv").read_text(encoding="utf-8-sig"), newline="")))
    assert list(rows[0]) == ["sheet", "rater", "page", "question", "text", "left", "right", "answer"]
    assert all(row["text"].startswith("'=HYPERLINK") and (folder / row["left"]).is_file() for row in rows)
    assert "left = Left; neither = Neither is better; right = Right" in (folder / "instructions.txt").read_text()


def test_a_sheet_of_dimensions_asks_about_single_pictures(run: Recorded) -> None:
    assert run.run("--dimensions", *SMALL, output="dimensions") == 0
    data = data_of(run.folder / "dimensions/rater-01/index.html")
    assert len(data["questions"]) == 11
    assert [choice["answer"] for choice in data["questions"][0]["choices"]] == ["0", "1", "2"]
    assert [len(page["pictures"]) for page in data["pages"]] == [1] * 6
    assert {page["text"] for page in data["pages"]} == {None}
    assert run.run("--dimensions=all", *SMALL, output="eighteen") == 0
    assert len(data_of(run.folder / "eighteen/rater-01/index.html")["questions"]) == 18
    key = run.key("dimensions")
    assert {unit["item"].partition("/")[2] for unit in key["units"]} <= {"original", "wide"}


def test_pictures_can_come_from_a_folder(run: Recorded) -> None:
    for item, image in itertools.product(run.answers, ("original", "wide")):
        place = run.folder / "own" / (MODEL if item < "p010" else "") / item
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2000, 40), (9, 9, 9)).save(place / f"{image}.jpg", quality=95)
    assert run.sheet(*SMALL, f"--images={run.folder / 'own'}", output="from-folder") == 0
    with Image.open(run.folder / "from-folder/rater-01/pictures/01-left.png") as shown:
        assert shown.size == (768, 15)


def test_what_is_excluded_is_seen_by_nobody(run: Recorded) -> None:
    (run.folder / "exclude.txt").write_text("\n".join(list(run.answers)[:18]))
    run.sheet(*SMALL, f"--exclude={run.folder / 'exclude.txt'}", output="excluded")
    assert {unit["stratum"] for unit in run.key("excluded")["units"]} == {"original", "tie"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--number=31",), "31 were asked for and only 30 can be rated"),
        (("--number=12", "--raters=2", "--per-rater=5"), "2 raters with 5 each rate 10, fewer than the 12"),
        (("--number=5", "--per-rater=6"), "--per-rater 6: there are only 5"),
        (("--judge=oracel",), "Did you mean 'preference/oracle'"),
        (("--model=nobody",), "unknown model in the evidence 'nobody'"),
        (("--images=nowhere",), "--images 'nowhere' is no folder"),
        (("--exclude=nowhere.txt",), "'nowhere.txt' cannot be read"),
        (("--prompts=control_pairs",), "is in no pair of the prompts"),
        (("--dimensions",), "leave them out with --dimensions"),
        (("--guideline=g.csv",), "--guideline belongs to --dimensions"),
        (("--raters=0",), "give a whole number of 1 or more"),
    ],
)
def test_a_wrong_call_is_said_in_one_line_and_leaves_nothing(
    run: Recorded, options: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = run.sheet(*SMALL, *options, output="wrong")
    except SystemExit as exit_of_argparse:
        code = int(exit_of_argparse.code or 0)
    error = capsys.readouterr().err
    assert code == 2
    assert says in error
    assert error.count("\n") == 1
    assert not [path for path in run.folder.iterdir() if "wrong" in path.name]


def test_a_key_never_lies_among_what_raters_get_and_is_never_overwritten(
    run: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.sheet(*SMALL, f"--key={run.folder / 'inside/key.json'}", output="inside") == 2
    assert "must not know" in capsys.readouterr().err
    (run.folder / "old.key.json").write_text("kept")
    assert run.sheet(*SMALL, output="old") == 2
    assert (run.folder / "old.key.json").read_text() == "kept"


def test_a_picture_that_changed_in_the_store_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = recorded(tmp_path, [1.0, 0.0])
    for blob in (run.folder / "store/blobs").rglob("*.png"):
        blob.write_bytes(blob.read_bytes() + b"x")
    assert run.sheet("--number=2", "--raters=1", "--per-rater=2") == 2
    assert "is not in the store" in capsys.readouterr().err
    assert not (run.folder / "sheet").exists()


def test_help_imports_no_model_library() -> None:
    script = (
        "import sys\nfrom aes_audit.command.main import main\n"
        "try:\n    main(['ratings', 'sheet', '--help'])\nexcept SystemExit:\n    pass\n"
        "print('loaded:', *sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "--per-rater" in done.stdout
    loaded = set(done.stdout.rpartition("loaded:")[2].split())
    assert loaded.isdisjoint({"torch", "transformers", "pandas", "scipy", "pyarrow", "PIL"})
