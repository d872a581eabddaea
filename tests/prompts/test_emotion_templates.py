"""Templates of a face that shows an emotion: what a file may hold, and what the two shipped sets are like."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from aes_audit.controls.captions import named_in
from aes_audit.controls.face_templates import face_templates
from aes_audit.controls.prompts import control_pairs
from aes_audit.errors import InvalidPrompts
from aes_audit.evidence.schema import EMOTIONS
from aes_audit.prompts.emotion import PLACEHOLDER, EmotionTemplate, read_templates, statement
from aes_audit.prompts.lexicon import words
from aes_audit.resources import control_folder

REAL = read_templates("emotion_templates")
CONTROL = read_templates("control_faces")

# Words by which a scene would suggest a mood of its own, or a face show an emotion that nobody asked for.
MOODS = re.compile(
    r"\b(sad|happ|ang|fear|joy|smil|cr(y|ies)|laugh|grin|frown|tear|gloom|lonel|cheer|bright|dark|rain|storm|sun|snow|fog|"
    r"cloud|funeral|wedding|party|grave|birthday|flower|candle|beautiful|ugly|lovely|warm|cold|calm|neutral|serene)"
)


def written(folder: Path, *rows: object) -> str:
    """A file of templates."""
    path = folder / "own.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return str(path)


class TestReading:
    """Any file of the form."""

    def test_the_emotion_is_filled_in_and_the_statement_has_its_article(self) -> None:
        template = EmotionTemplate("a", "A man looks {emotion}.")
        assert template.prompt("angry") == "A man looks angry."
        assert template.statement("angry") == statement("angry") == "The face shows an angry expression"
        assert statement("sad") == "The face shows a sad expression"
        scene = EmotionTemplate("a", "a face, it is {emotion}", "a face")
        assert scene.statement("sad") == "a face, the face shows a sad expression"

    def test_the_digest_is_of_the_content_and_a_part_has_its_own(self, tmp_path: Path) -> None:
        rows = [{"id": name, "text": f"{name} is {{emotion}}", "more": 1} for name in "ab"]
        whole = read_templates(written(tmp_path, *rows))
        assert (whole.name, [one.id for one in whole.templates]) == ("own", ["a", "b"])
        assert read_templates(written(tmp_path, *({**row, "more": 2} for row in rows))) == whole
        assert read_templates(written(tmp_path, rows[0])).digest == whole.first(1).digest != whole.digest
        assert whole.first(9) == whole

    @pytest.mark.parametrize(
        ("rows", "complaint"),
        [
            ([], "holds no template"),
            ([["a"]], "line 1: expected an object, found list"),
            ([{"id": "a"}], "line 1: key 'text' must be a non-empty string"),
            ([{"id": "a", "text": "a face"}], r"as \{emotion\}; found 0 times"),
            ([{"id": "a", "text": "{emotion} {emotion}"}], "found 2 times"),
            ([{"id": "a", "text": "{emotion}", "scene": 3}], "key 'scene' must be"),
            ([{"id": "a", "text": "{emotion}"}] * 2, "line 2: id 'a' was used before"),
        ],
    )
    def test_what_is_no_template_is_refused_with_its_line(
        self, rows: list[object], complaint: str, tmp_path: Path
    ) -> None:
        with pytest.raises(InvalidPrompts, match=complaint):
            read_templates(written(tmp_path, *rows))

    def test_a_set_that_does_not_exist_is_refused(self) -> None:
        with pytest.raises(InvalidPrompts, match="templates 'smiles' cannot be read"):
            read_templates("smiles")


class TestPhotographicSet:
    """The thirty templates for real models."""

    @pytest.mark.parametrize("template", REAL.templates, ids=lambda template: template.id)
    def test_a_template_shows_one_face_and_no_mood_but_the_one_it_is_filled_with(
        self, template: EmotionTemplate
    ) -> None:
        text = template.text.replace(PLACEHOLDER, "")
        assert len(words(template.text)) < 50
        assert not MOODS.search(text.lower())
        # An article would have to change with the emotion.
        assert not re.search(r"\ban? \{emotion\}", template.text)
        assert re.search(r"face|head|facial|passport|portrait|eyes|expression", text.lower())

    def test_people_places_and_wordings_differ(self) -> None:
        assert len(REAL.templates) == 30
        shingles = {one.id: set(zip(*(words(one.text)[k:] for k in range(4)), strict=False)) for one in REAL.templates}
        for one, other in combinations(shingles, 2):
            assert len(shingles[one] & shingles[other]) <= 2, (one, other)
        assert len({words(one.text)[:3] for one in REAL.templates}) == 30


class TestControlSet:
    """The thirty faces of the control world."""

    def test_every_word_is_in_the_worlds_vocabulary(self) -> None:
        tokenizer = Tokenizer.from_file(str(control_folder("clip") / "tokenizer.json"))
        for template in CONTROL.templates:
            for emotion in EMOTIONS:
                for text in (template.prompt(emotion), template.statement(emotion)):
                    assert len(tokenizer.encode(text).tokens) == len(re.findall(r"\w+|,", text)) + 2

    def test_no_prompt_pair_has_a_face_of_its_colour_in_its_place(self) -> None:
        asked = {named_in(pair.scene, "a") for pair in control_pairs() if pair.scene.kind == "face"}
        faces = [re.sub(r"^(there is|a (picture|drawing) of) ", "", one.scene) for one in CONTROL.templates]
        assert len(asked) > 5
        assert asked.isdisjoint(faces)
        assert len(set(faces)) == len(faces) == 30

    def test_a_caption_of_the_corpus_is_passed_over(self) -> None:
        first = face_templates(frozenset())[0]
        again = face_templates(frozenset({first.prompt("sad")}))[0]
        assert (again.id, again.text != first.text) == ("face-01", True)

    @pytest.mark.heavy
    def test_the_training_corpus_holds_none_of_their_prompts(self) -> None:
        from aes_audit.controls.training.corpus import corpus_captions

        known = frozenset(text for text in corpus_captions(seed=0) if " face " in text)
        assert len(known) > 40_000
        assert face_templates(known) == CONTROL.templates
