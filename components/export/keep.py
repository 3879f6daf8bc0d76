"""What export leaves of a model that the gate refused."""

from components.core.artifacts.evaluation import Decision, write_decision
from components.core.files import whole_directory, whole_file

NOT_EXPORTED = "not exported"


def keep(decision: Decision, exported_path: str, card_path: str) -> str:
    """Writes the decision where an export would lie, and the reason where its card would; returns NOT_EXPORTED."""
    with whole_directory(exported_path) as directory:
        write_decision(directory, decision)
    with whole_file(card_path) as card:
        card.write_text(f"Not exported: the model {decision.said}.\n", encoding="utf-8")
    print(NOT_EXPORTED, flush=True)
    return NOT_EXPORTED
