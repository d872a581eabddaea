"""The table: what was put in is found again, by what was scored."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pandas as pd
import pytest
from evidence.rows import NAME, judged, reward, small_table, tables
from hypothesis import given, settings
from hypothesis import strategies as st

from aes_audit.errors import InvalidEvidence
from aes_audit.evidence.coding import Coded, coded, folded
from aes_audit.evidence.schema import COLUMNS, KEY, Row
from aes_audit.evidence.table import Evidence
from aes_audit.prompts.dimensions import DIMENSIONS


@settings(max_examples=150, deadline=None)
@given(table=tables())
def test_every_lookup_agrees_with_a_walk_over_the_rows(table: list[Row]) -> None:
    evidence = Evidence.from_rows(table)
    groups: dict[tuple[str | None, ...], dict[str, float | None]] = defaultdict(dict)
    for row in table:
        groups[row.model, row.set, row.scorer, row.image, row.prompt][row.item] = row.value
    for (model, set_, scorer, image, prompt), scores in groups.items():
        found = evidence.values(str(model), str(set_), str(scorer), str(image), prompt)
        assert list(found.index) == sorted(scores)
        assert [None if np.isnan(value) else value for value in found] == [scores[item] for item in sorted(scores)]
        assert evidence.has(str(model), str(set_), str(scorer))
    assert evidence.models == tuple(sorted({row.model for row in table}))
    for model, set_ in {(row.model, row.set) for row in table}:
        within = [row for row in table if (row.model, row.set) == (model, set_)]
        assert evidence.items(model, set_) == tuple(sorted({row.item for row in within}))
        assert evidence.scorers(model, set_) == tuple(sorted({row.scorer for row in within}))


@settings(max_examples=50, deadline=None)
@given(table=tables(), parts=st.integers(1, 4))
def test_tables_put_together_are_the_table_of_all_rows(table: list[Row], parts: int) -> None:
    evidence = [Evidence.from_rows(part) for number in range(parts) if (part := table[number::parts])]
    assert Evidence.concat(evidence) == Evidence.from_rows(table)
    assert Evidence.concat(reversed(evidence)) == Evidence.from_rows(table)


def test_a_key_in_two_tables_cannot_be_put_together() -> None:
    parts = [Evidence.from_rows([reward("1"), reward("2")]), Evidence.from_rows([reward("3"), reward("2", value=9.0)])]
    with pytest.raises(InvalidEvidence, match=r"table 2: .*item='2'.*row 1 repeats row 2 of table 1"):
        Evidence.concat(parts)


def test_no_tables_cannot_be_put_together() -> None:
    with pytest.raises(InvalidEvidence, match="no table"):
        Evidence.concat([])


def test_a_row_with_an_error_is_in_the_index_without_a_value_and_an_absent_row_is_not() -> None:
    evidence = Evidence.from_rows([reward("b", value=2.0), reward("a", value=None), reward("c", image="original")])
    values = evidence.values("flux-dev", "pairs", "hpsv3", "wide", "wide")
    assert values.dtype == "float64"
    assert values.to_dict() == pytest.approx({"a": np.nan, "b": 2.0}, nan_ok=True)
    assert evidence.items("flux-dev", "pairs") == ("a", "b", "c")


def test_a_null_prompt_is_looked_up_by_none_and_is_no_text() -> None:
    evidence = Evidence.from_rows([judged("1", "clarity", value=0.5)])
    assert evidence.values("flux-dev", "pairs", "judge/clarity", "wide", None).to_dict() == {"1": 0.5}
    assert evidence.values("flux-dev", "pairs", "judge/clarity", "wide", "wide").empty


def test_what_is_not_in_the_table_is_empty_and_no_error() -> None:
    evidence = Evidence.from_rows(small_table())
    values = evidence.values("unknown", "pairs", "hpsv3", "wide", "wide")
    assert values.empty
    assert values.dtype == "float64"
    assert evidence.items("unknown", "pairs") == evidence.scorers("flux-dev", "ratings") == ()
    assert not evidence.has("human", "pairs", "hpsv3")
    assert evidence.selected("human", "pairs") is None


def test_values_of_two_models_align_by_item() -> None:
    table = [reward("2", value=5.0), reward("10", value=7.0), *(reward(i)._replace(model="base") for i in ("10", "3"))]
    evidence = Evidence.from_rows(table)
    both = [evidence.values(model, "pairs", "hpsv3", "wide", "wide") for model in ("flux-dev", "base")]
    assert (both[0] - both[1]).dropna().to_dict() == {"10": 6.0}


def test_the_frame_is_in_key_order_with_null_prompts_last() -> None:
    table = [
        Row("m", "edits", "2", "edited", None, "hpsv3", 1.0),
        Row("m", "edits", "2", "edited", "wide", "hpsv3", 1.0),
        Row("m", "edits", "10", "edited", "wide", "hpsv3", 1.0),
    ]
    keys = Evidence.from_rows(table).frame[["item", "prompt"]].astype(object)
    assert keys.where(keys.notna(), None).to_numpy().tolist() == [["10", "wide"], ["2", "wide"], ["2", None]]


def test_changing_what_was_handed_out_leaves_the_table_alone() -> None:
    evidence = Evidence.from_rows(small_table())
    handed, values = evidence.frame, evidence.values("human", "art", "hpsv3", "work", "caption")
    handed.loc[:, "value"] = 0.0
    values[:] = 0.0
    assert evidence == Evidence.from_rows(small_table())
    assert evidence.values("human", "art", "hpsv3", "work", "caption").to_dict() == {"mona": -3.25}


def test_a_part_of_the_frame_makes_a_table_whatever_its_order() -> None:
    whole = Evidence.from_rows(small_table()).frame
    part = whole[whole["model"] != "human"].sample(frac=1, random_state=3)
    assert Evidence(part) == Evidence.from_rows([row for row in small_table() if row.model != "human"])


def test_tables_differ_by_rows_and_selections_and_not_by_other_extra_columns() -> None:
    rows = [judged("1", "clarity")._asdict()]
    assert Evidence.from_rows([{**rows[0], "seed": 1}]) == Evidence.from_rows(rows)
    assert Evidence.from_rows([{**rows[0], "selected": True}]) != Evidence.from_rows(rows)
    assert Evidence.from_rows([{**rows[0], "value": 1.5}]) != Evidence.from_rows(rows)
    assert Evidence.from_rows(rows) != rows


def test_rows_and_mappings_mix_and_null_columns_may_be_left_out() -> None:
    mapping = {"model": "flux-dev", "set": "pairs", "item": "2", "image": "wide", "scorer": "judge/clarity", "value": 1}
    evidence = Evidence.from_rows([judged("1", "clarity"), {**mapping, "seed": 4}])
    assert evidence == Evidence.from_rows([judged("1", "clarity"), judged("2", "clarity")])
    assert evidence.frame["seed"].tolist() == pytest.approx([np.nan, 4], nan_ok=True)


ELEVEN = frozenset(DIMENSIONS)
CLEAR = frozenset({"clarity"})


def test_an_item_judged_in_a_few_dimensions_selected_those() -> None:
    evidence = Evidence.from_rows([judged("1", "clarity"), judged("1", "emotion", "original"), judged("2", "clarity")])
    assert evidence.selected("flux-dev", "pairs") == {"1": CLEAR | {"emotion"}, "2": CLEAR}


def test_the_selection_of_an_item_judged_in_all_dimensions_is_unknown() -> None:
    everything = [judged("1", dimension) for dimension in DIMENSIONS]
    assert Evidence.from_rows(everything).selected("flux-dev", "pairs") is None
    some = Evidence.from_rows([*everything, judged("2", "clarity")])
    assert some.selected("flux-dev", "pairs") == {"2": CLEAR}


def test_an_unused_dimension_does_not_complete_the_eleven() -> None:
    ten = [judged("1", dimension) for dimension in DIMENSIONS[1:]]
    evidence = Evidence.from_rows([*ten, judged("1", "symmetry")])
    assert evidence.selected("flux-dev", "pairs") == {"1": ELEVEN - {DIMENSIONS[0]} | {"symmetry"}}


@pytest.mark.parametrize("written", [(True, False), ("true", "FALSE"), (np.True_, np.False_)])
def test_flags_say_which_of_all_dimensions_were_selected(written: tuple[object, object]) -> None:
    chosen = CLEAR | {"emotion"}
    rows = [
        {**judged("1", dimension, image)._asdict(), "selected": written[0 if dimension in chosen else 1]}
        for dimension in DIMENSIONS
        for image in ("original", "wide")
    ]
    other = [reward("1")._asdict(), judged("2", "clarity")._asdict()]
    assert Evidence.from_rows([*rows, *other]).selected("flux-dev", "pairs") == {"1": chosen, "2": CLEAR}


def test_an_item_flagged_everywhere_as_not_selected_has_an_empty_selection() -> None:
    rows = [{**judged("1", dimension)._asdict(), "selected": False} for dimension in DIMENSIONS]
    assert Evidence.from_rows(rows).selected("flux-dev", "pairs") == {"1": frozenset()}


def test_a_column_of_the_same_name_that_is_no_flag_is_ignored() -> None:
    rows = [{**judged("1", dimension)._asdict(), "selected": "by hand"} for dimension in DIMENSIONS]
    evidence = Evidence.from_rows(rows)
    assert evidence.selected("flux-dev", "pairs") is None
    assert evidence.frame["selected"].tolist() == ["by hand"] * 11


def test_a_selection_is_that_of_its_model_and_set() -> None:
    table = [judged("1", "clarity"), judged("1", "emotion")._replace(model="other")]
    evidence = Evidence.from_rows(table)
    assert evidence.selected("other", "pairs") == {"1": frozenset({"emotion"})}
    assert evidence.selected("flux-dev", "edits") is None


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(NAME | st.none(), NAME, st.integers(0, 3)), min_size=1, max_size=20))
def test_folded_codes_sort_like_the_rows_with_nulls_last(rows: list[tuple[str | None, str, int]]) -> None:
    columns = [
        coded(pd.Series(list(column), dtype="str"))
        for column in zip(*((a, b, str(c)) for a, b, c in rows), strict=True)
    ]
    key = folded(columns)
    plain = [(a is None, a or "", b, str(c)) for a, b, c in rows]
    assert [plain[i] for i in np.argsort(key, kind="stable")] == sorted(plain)
    assert len(set(key.tolist())) == len(set(plain))


def test_folding_many_large_columns_does_not_overflow() -> None:
    rng = np.random.default_rng(0)
    labels = tuple(map(str, range(2_000_000)))
    columns = [Coded(rng.integers(0, 3, 500), labels) for _ in range(6)]
    key = folded(columns)
    rows = list(zip(*(column.codes.tolist() for column in columns), strict=True))
    assert [rows[i] for i in np.argsort(key, kind="stable")] == sorted(rows)
    assert len(np.unique(key)) == len(set(rows))


def test_the_contracts_columns_come_with_their_names_and_types() -> None:
    table = Evidence.from_rows(small_table()).frame
    assert list(table.columns) == list(COLUMNS)
    assert {str(table[name].dtype) for name in (*KEY, "error")} == {"str"}
    assert table["value"].dtype == "float64"
    assert len(table) == len(small_table())
