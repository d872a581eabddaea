"""What a number says, in one sentence: of a measurement for the first screen, of an item for its proof."""

from __future__ import annotations

from aes_audit.measures.names import REWARD_SUBJECT
from aes_audit.report.html.words import number
from aes_audit.report.results import Entry

__all__ = ["finding", "item_fact"]


def finding(entry: Entry) -> str:
    """What was found, for someone who does not know the metric's name."""
    estimate = entry["estimate"]
    if estimate is None:
        return f"{entry['metric']} could not be measured"
    return _FINDINGS.get(entry["metric"], "{metric}: {shown}").format(
        metric=entry["metric"],
        shown=number(estimate, entry["metric"]),
        size=number(abs(estimate), entry["metric"]),
        group=entry["group"],
        more="more" if estimate > 0 else "less",
        prettier="plainer" if estimate > 0 else "prettier",
    )


_FINDINGS = {
    "success_rate": "Follows the prompt in {shown} of pairs",
    "realignment_success": "Follows prompts {size} {more} often than its base",
    "realignment_quality": "Draws {prettier} than its base: {shown}",
    "quality_shift": "Conventional quality moves by {shown}",
    "wide_quality": "Pictures asked to be plain score {shown}",
    "dimension_shift": "Dimensions that were turned down move by {shown}",
    "dimension_shift_all": "All dimensions together move by {shown}",
    "concept_kept": "The subject is found with {shown}",
    "image_faults": "{shown} of the planned pictures are faulty",
    "edit_shift": "Editing beautifies a right picture by {shown}",
    "preference_agreement": "The judges agree with a kappa of {shown}",
    "reward_auroc": "Tells which picture follows with an AUROC of {shown}",
    "reward_accuracy": "Picks the picture that follows in {shown} of pairs",
    "reward_balanced_accuracy": "Picks right in {shown}, both answers weighing the same",
    "reward_f1": "Finds the pictures that follow with an F1 of {shown}",
    "prefers_wide": "Prefers the picture that was asked for in {shown} of pairs",
    "art_z": "Real art stands {shown} SD from generated pictures",
    "emotion_accuracy": "Knows a face that is {group} in {shown} of cases",
    "emotion_accuracy_happy": "Knows a happy face from one that is {group} in {shown} of cases",
    "emotion_rendering": "Faces asked to be {group} show it with {shown}",
    "positivity_shift": "Faces are happier than asked by {shown}",
    "realignment_emotion": "Faces asked to be sad, angry or fearful move by {shown} against its base",
}


def item_fact(entry: Entry, value: float) -> str:
    """What a measurement read at one item, in one line; empty where that says nothing."""
    metric, scorer = entry["metric"], entry["scorer"]
    shown, judge = f"{value:+.3g}", scorer.removeprefix("preference/")
    match metric:
        case "success_rate":
            return (
                f"{judge}: the asked picture {'follows' if value == 1 else 'does not follow'} better than the plain one"
            )
        case "realignment_success":
            compared = {-1.0: "followed, this model does not", 1.0: "did not follow, this model does"}.get(value)
            return f"{judge}: {entry['base_model']} {compared}" if compared else ""
        case "quality_shift" | "edit_shift":
            return f"{scorer}: {shown} from the first picture to the second"
        case "realignment_quality":
            return f"{scorer}: {shown} against the asked picture of {entry['base_model']}"
        case "dimension_shift":
            return f"{scorer}: {shown} in sum over the dimensions asked for"
        case "prefers_wide":
            return f"{scorer}: prefers the {'asked' if value == 1 else 'plain'} picture"
        case "emotion_accuracy" | "emotion_accuracy_happy":
            return f"{scorer}: {'prefers' if value == 1 else 'does not prefer'} the face that the caption names"
        case _ if metric in REWARD_SUBJECT:
            return f"{scorer}: prefers the {'asked' if value > 0 else 'plain'} picture by {abs(value):.3g}"
        case _:
            return f"{metric} by {scorer}: {shown}"
