"""The models that one training makes: one, or the two of a cascade."""

from __future__ import annotations

from dataclasses import dataclass

from umamba.models.accuracy import measured_accuracy
from umamba.models.card import Card, check_id
from umamba.models.describe import default_id, describe, slug
from umamba.models.results import Results


@dataclass(frozen=True)
class Stage:
    """One model to be made, and how it is to be called.

    Attributes:
        results: What was trained.
        id, name: Of the model; None takes the default name.
        previous: Id of a cascade's first stage, or None.
    """

    results: Results
    id: str
    name: str | None
    previous: str | None

    def card(self, orientation: str) -> Card:
        """The card as the results tell it, without files."""
        return describe(
            self.results,
            model_id=self.id,
            name=self.name,
            orientation=orientation,
            files={},
            previous_stage=self.previous,
            accuracy=measured_accuracy(self.results),
        )


def stages_of(results: Results, model_id: str | None, name: str | None) -> list[Stage]:
    """The models to make: one, or the two of a cascade, first stage first.

    Args:
        results: What was trained.
        model_id, name: As the person chose them; None takes the defaults. The first stage of a cascade gets
            its own default id, or `model_id` with its configuration's name behind.

    Raises:
        ModelError: `model_id` cannot name a model.
    """
    dataset_name = results.plans.dataset_name
    main = default_id(dataset_name, results.configuration.name) if model_id is None else check_id(model_id)
    if results.previous is None:
        return [Stage(results, main, name, None)]
    configuration = results.previous.configuration.name
    first = default_id(dataset_name, configuration)
    if model_id is not None:
        first = check_id(f"{model_id}-{slug(configuration)}")
    return [Stage(results.previous, first, None, None), Stage(results, main, name, first)]
