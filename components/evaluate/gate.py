"""The gate between training and serving: a model is exported only if it is good enough and beats the champion.

    gate_metric         by which figure of the two: accuracy, or balanced_accuracy, to which each class counts the same
    min_accuracy        that reaches this on the test pictures
    behaviour=fail      it passes the behaviour tests
    min_improvement     it is above the champion's, by at least this
    significance        and that is not chance, by the metric's paired test (measure/paired.py)

The champion is measured anew, never taken at its old figures: those were of other pictures. Both are asked the test
pictures that neither has learned from (comparing.py), and the more often those were asked, the surer the gate must be:
`significance` is the chance that any of all the challengers passes for better by luck (looks.py).

When the champion can't be compared:

    there is none                      the first good enough becomes it
    of other classes, another shape,   nothing is exported: it is another task, and clients would be surprised
      or pictures made otherwise
    it does not say what it learned    nothing is exported: a version of before, or published by hand, or a challenger
      from, nor does what the           that was started from a file; nobody knows what would be a fair test of it
      challenger was started from, or
      too few pictures are left to ask
    a class of the test pictures has   nothing is exported, if the metric is balanced_accuracy: it would leave out the
      none among those that are left     class
    damaged, or can't be run           the step fails (champion.py): that is an incident, and somebody must look

gate=min_accuracy asks for none of it, and replaces any champion: the operator's way out of all but the first.
"""

from collections.abc import Sequence

import numpy as np

from components.core.artifacts.evaluation import METRIC_WORDS, Comparison, Decision, DecisionReason
from components.core.wording import counted, told_apart
from components.evaluate.champion import AskedChampion
from components.evaluate.comparing import LEAST_ASKED, Duel
from components.evaluate.looks import share_of
from components.evaluate.measure import measures, paired
from components.evaluate.measure.behaviour import BehaviourCheck
from components.evaluate.report.facts import BothAnswered
from components.evaluate.settings import EvaluateSettings


def decide(
    settings: EvaluateSettings,
    labels: np.ndarray,
    probabilities: np.ndarray,
    behaviour: Sequence[BehaviourCheck],
    champion: AskedChampion | None = None,
    uneven: bool = False,
) -> Decision:
    """Decides on the challenger.

    Args:
        labels: int64 (n,), of the test pictures.
        probabilities: float (n, classes), the challenger's answers.
        behaviour: how it took the behaviour tests; they count under behaviour=fail.
        champion: None if there is none, or no registry is named.
        uneven: whether the balanced accuracy is worth telling though the gate does not go by it.
    """
    challenger = measures.scored(labels, probabilities)
    metric, comparison = settings.gate_metric, None
    score = getattr(challenger, metric)
    good = score >= settings.min_accuracy
    reached = f" {'reaches' if good else 'is below'} min_accuracy {settings.min_accuracy:.12g}"
    if not settings.min_accuracy:
        reached = ", and no min_accuracy is set"
    said = f"test {METRIC_WORDS[metric]} {told_apart(score, settings.min_accuracy)}{reached}"
    reasons = [DecisionReason(said=said, holds=good)]
    if settings.behaviour == "fail":
        failed = [check.said for check in behaviour if not check.passed]
        reasons += [DecisionReason(said=f"behaviour: {said}", holds=False) for said in failed]
    if champion and (duel := champion.duel):
        comparison = _comparison(settings, champion.version, labels, probabilities, duel)
        reasons += _beaten(settings, champion.name, comparison, len(labels))
        if champion.stranger:  # two people call their folders alike, and their classes
            said = f"{champion.name} has learned from none of this data set's pictures; choose another model_name if it"
            reasons.append(DecisionReason(said=f"{said} is another project's", holds=True))
    elif settings.publish_uri:
        reasons.append(_unmeasured(settings, champion, len(labels)))
    return Decision(
        passed=all(reason.holds for reason in reasons),
        reasons=reasons,
        accuracy=challenger.accuracy,
        balanced_accuracy=challenger.balanced_accuracy if uneven or metric == "balanced_accuracy" else None,
        pictures=len(labels),
        gate=settings.gate,
        metric=metric,
        min_accuracy=settings.min_accuracy,
        min_improvement=settings.min_improvement,
        significance=settings.significance,
        model_name=settings.model_name,
        registry=settings.publish_uri,
        champion=champion.version if champion else 0,
        comparison=comparison,
    )


def _comparison(
    settings: EvaluateSettings, version: int, labels: np.ndarray, probabilities: np.ndarray, duel: Duel
) -> Comparison:
    """Compares the challenger with the champion, which is that version, on the pictures that both were asked."""
    both, asked = both_answered(labels, probabilities, duel), labels[duel.asked]
    right, champion_right = (each.argmax(axis=1) == asked for each in (probabilities[duel.asked], duel.answers))
    only_challenger, only_champion = right & ~champion_right, champion_right & ~right
    better, worse, pictures = int(only_challenger.sum()), int(only_champion.sum()), len(asked)
    balanced, champion_balanced = both.challenger.balanced_accuracy, both.champion.balanced_accuracy
    weight = 1 if settings.gate_metric == "accuracy" else 1 / np.bincount(asked)[asked]  # of a picture in the metric
    lead = weight * (right.astype(int) - champion_right)
    together = 1.0 if duel.groups is None else paired.per_chance(lead, duel.groups)
    if settings.gate_metric == "accuracy":
        difference = (better - worse) / pictures
        p_value = paired.mcnemar(better / together, worse / together)
        interval = paired.difference_interval(better / together, worse / together, pictures / together)
    else:
        won, lost, tested = (each / together for each in paired.by_class(asked, only_challenger, only_champion))
        # Rounded, as two sums of shares that are equal may differ in their last bit.
        difference, p_value = round(balanced - champion_balanced, 12), float(paired.mean_recall_test(won, lost, tested))
        interval = paired.difference_interval(won, lost, tested)
    return Comparison(
        version=version,
        pictures=pictures,
        look=duel.look,
        accuracy=both.challenger.accuracy,
        champion_accuracy=both.champion.accuracy,
        balanced_accuracy=balanced,
        champion_balanced_accuracy=champion_balanced,
        metric=settings.gate_metric,
        only_challenger=better,
        only_champion=worse,
        pictures_a_chance=together,
        difference=difference,
        difference_interval_95=interval,
        p_value=p_value,
        p_allowed=allowed(settings.significance, duel.look),
    )


def allowed(significance: float, look: int) -> float:
    """The largest p that the look lets pass. A significance of 1 asks for no certainty, at no look."""
    return significance if significance == 1 else significance * share_of(look)


def both_answered(labels: np.ndarray, probabilities: np.ndarray, duel: Duel) -> BothAnswered:
    """How both did on what both were asked; `probabilities` are the answers of the challenger to all test pictures."""
    answers = duel.answers, probabilities[duel.asked]
    return BothAnswered(*(measures.scored(labels[duel.asked], each, duel.groups) for each in answers))


def _unmeasured(settings: EvaluateSettings, champion: AskedChampion | None, tested: int) -> DecisionReason:
    """The reason when no champion was measured."""
    if champion is None:
        said = f"{settings.model_name} has no champion yet"
        if tested < LEAST_ASKED:
            said += (
                f", and this one has {counted(tested, 'test picture')}: no later model can be compared with it until "
                f"there are {LEAST_ASKED} that neither has learned from"
            )
        return DecisionReason(said=said, holds=True)
    name = f"{champion.name}, the champion,"
    if settings.gate == "min_accuracy":
        return DecisionReason(said=f"{name} need not be beaten: gate is min_accuracy", holds=True)
    advice = "choose another model_name, or gate=min_accuracy to replace it"
    if champion.asked:  # it would do, but for the pictures
        advice = f"add new pictures (a larger test_split takes more of them), {advice}"
    return DecisionReason(said=f"{name} can't be compared, because {champion.other}: {advice}", holds=False)


def _beaten(settings: EvaluateSettings, name: str, found: Comparison, tested: int) -> list[DecisionReason]:
    """Whether the champion is beaten by enough, and not by chance."""
    against = f"the {told_apart(found.champion_score, found.score)} of {name}, the champion"
    if found.pictures < tested:
        against += f", on the {found.pictures:,} test pictures that neither has learned from"
    if found.difference <= 0:
        said = "equals" if found.difference == 0 else "is below"
        if not found.only_challenger and not found.only_champion:
            against += ": both are right on the same pictures, as it would be with the champion itself"
        score = told_apart(found.score, found.champion_score)
        return [DecisionReason(said=f"test {METRIC_WORDS[found.metric]} {score} {said} {against}", holds=False)]
    enough = found.difference >= settings.min_improvement
    asked = f", {'at least' if enough else 'less than'} min_improvement {settings.min_improvement:.12g}"
    above, metric = told_apart(found.difference, settings.min_improvement), METRIC_WORDS[found.metric]
    improvement = f"its {metric} is {above} above {against}{asked if settings.min_improvement else ''}"
    sure = found.p_value <= found.p_allowed
    p, p_allowed = told_apart(found.p_value, found.p_allowed, ".2g"), told_apart(found.p_allowed, found.p_value, ".2g")
    whole = ", counted by group" if found.pictures_a_chance > 1 else ""
    before = f"{found.look - 1:,} earlier comparison{'s' if found.look != 2 else ''}"
    chance = (
        f"its lead of {above} in {metric} over {name} {'is' if sure else 'is not'} significant: only the challenger is "
        f"right on {found.only_challenger:,} pictures, only the champion on {found.only_champion:,}{whole}, "
        f"p = {p}, {'within' if sure else 'above'} the {p_allowed} that significance "
        f"{settings.significance:g} leaves after {before} on these pictures"
    )
    return [DecisionReason(said=improvement, holds=enough), DecisionReason(said=chance, holds=sure)]
