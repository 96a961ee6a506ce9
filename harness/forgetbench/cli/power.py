"""``run --power-analysis``: how many samples each row needs, before any model runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from forgetbench.errors import UsageError

if TYPE_CHECKING:
    from forgetbench.engine.run import Prepared


@dataclass(frozen=True)
class Power:
    """What is asked of a power analysis.

    Attributes:
        effect_size: Loss to be seen, in each metric's units; None for each row's margin.
        alpha: Error rate of the family of rows.
        power: Probability of seeing the loss.
    """

    effect_size: float | None
    alpha: float
    power: float

    @classmethod
    def of(
        cls, wanted: bool, *, effect_size: float | None, alpha: str | None, power: float | None
    ) -> Power | None:
        """Return what is asked, None without ``--power-analysis``.

        Raises:
            UsageError: An option has no meaning without ``--power-analysis``, or is out of range.
        """
        rate = _error_rate(alpha) if wanted else None
        given = {"--effect-size": effect_size, "--alpha": rate, "--power": power}
        for name, value in given.items():
            if value is None:
                continue
            if not wanted:
                raise UsageError(name, "belongs to --power-analysis", "Add --power-analysis or leave it out.")
            from forgetbench.schema.number import LARGEST_MARGIN, SMALLEST_MARGIN

            low, high = (SMALLEST_MARGIN, LARGEST_MARGIN) if name == "--effect-size" else (0.0, 1.0)
            if not low < value < high:
                raise UsageError(
                    f"{name} {value:g}", f"is not between {low:g} and {high:g}", "Correct the value."
                )
        if not wanted:
            return None
        return cls(effect_size, 0.05 if rate is None else rate, 0.8 if power is None else power)


def _error_rate(alpha: str | None) -> float | None:
    try:
        return None if alpha is None else float(alpha)
    except ValueError:
        raise UsageError(f"--alpha {alpha}", "is no error rate", "Give one number, such as 0.05.") from None


def show_power(prepared: Prepared, asked: Power, *, as_json: bool) -> None:
    """Print, for each row of the plan, the samples needed and the smallest loss that can be seen."""
    from forgetbench.cli.console import console, write_json
    from forgetbench.engine.power import power_lines
    from forgetbench.report.power import power_table

    lines = power_lines(prepared, effect_size=asked.effect_size, alpha=asked.alpha, power=asked.power)
    console(as_json=as_json).print(power_table(lines, alpha=asked.alpha, power=asked.power))
    if as_json:
        write_json({"alpha": asked.alpha, "power": asked.power, "rows": [asdict(line) for line in lines]})
