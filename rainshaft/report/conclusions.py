"""What may be concluded from a comparison, in a few sentences that follow from the numbers.

Inputs: all ensembles as `rows.Comparison`, how often the test days were looked at, and the verdicts. Output: for each
dataset about ten short statements. What the uncertainty can explain is called open, never good or bad.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rainshaft.data.conventions import TEST, VALIDATION
from rainshaft.evaluation.catalogue import GIVEN_DOMAIN_MEAN, score_of
from rainshaft.evaluation.cells import Place, number, place_in_band, settings_of
from rainshaft.evaluation.rows import CRPS, POSTERIOR, Comparison, Found, Row
from rainshaft.evaluation.scoring import ALL_DAYS

Tone = Literal["good", "bad", "open", ""]
"""how a statement is marked: without a tone it is a plain fact"""

FEW_DAYS = 60  # ASSUME fewer days hold only a handful of storms, on which the extremes depend
YEARS_OF_A_CLIMATE = 10  # fewer years tell nothing of return levels


@dataclass(frozen=True)
class Statement:
    """One statement of the first page."""

    topic: str
    text: str
    tone: Tone = ""


@dataclass(frozen=True)
class Known:
    """What is known of a run beside its scores."""

    looks: Mapping[str, int] = field(default_factory=dict)
    """dataset to the number of looks at its test days"""
    verdicts: Sequence[Mapping[str, Any]] = ()
    """contents of `verdict.json`"""
    descriptions: Mapping[str, str] = field(default_factory=dict)
    """experiment or dataset of the file to a few words"""
    perfect: Collection[str] = ()
    """datasets whose predictors were made from the fine rain"""
    synthetic: Collection[str] = ()
    """datasets whose rain was made from a seed"""


def conclusions(comparison: Comparison, known: Known) -> dict[str, list[Statement]]:
    """State for each dataset what was compared, what may be concluded, what may not, and what to do next."""
    return {dataset: _Page(comparison, dataset, known).statements() for dataset in comparison.datasets}


class _Page:
    """The statements on one dataset."""

    def __init__(self, comparison: Comparison, dataset: str, known: Known):
        self.comparison, self.dataset, self.known = comparison, dataset, known
        every = comparison.rows(dataset)
        self.rows = [row for row in every if row.days(VALIDATION) or row.days(TEST)]
        self.part = VALIDATION if any(row.days(VALIDATION) for row in every) else TEST
        self.experiments = [row for row in self.rows if not row.is_baseline and row.mode != POSTERIOR]
        self.baselines = [row for row in self.rows if row.is_baseline]
        self.has_posterior = any(row.mode == POSTERIOR for row in every)
        self.strongest = comparison.strongest(dataset)
        self.elsewhere = [row for row in self.experiments if self._is_elsewhere(row)]
        comparable = [row for row in self.experiments if not self._is_elsewhere(row)] or self.experiments
        ranked = [(crps, row) for row in comparable if (crps := self._found(row, CRPS)["value"]) is not None]
        self.best = min(ranked, key=lambda one: one[0])[1] if ranked else None

    def _is_elsewhere(self, row: Row) -> bool:
        """Tell whether an experiment was scored on other days than the strongest baseline, and so does not compare."""
        return self.strongest is not None and row.days_differ(self.part, ALL_DAYS, self.strongest)

    def statements(self) -> list[Statement]:
        found = [self._compared(), self._days()]
        if self.best is None:
            found.append(self._nothing_to_judge())
        else:
            found += [*self._worth(self.best), self._calibration(self.best), self._amounts(self.best)]
            found += [self._extremes(self.best), self._texture(self.best)]
        return [*found, self._limits(), self._next()]

    # ------------------------------------------------------------------------------------------- what was done

    def _compared(self) -> Statement:
        parts = [_count(len(self.experiments), "experiment")] if self.experiments else []
        parts += [_count(len(self.baselines), "simple method")] if self.baselines else []
        words = self.known.descriptions.get(self.dataset, "")
        text = f"{_listed(parts) or 'Nothing'} on {self.dataset}" + (f" ({words})." if words else ".")
        replicates = max((len(row.entries) for row in self.experiments), default=1)
        if replicates > 1:
            text += f" Each experiment is the mean over {replicates} trainings with different seeds."
        return Statement("Compared", text)

    def _days(self) -> Statement:
        tone: Tone = ""
        validation, test = self._span(VALIDATION), self._span(TEST)
        if not validation:
            text, tone = f"No validation days were scored, so nothing was decided. All numbers are of {test}.", "bad"
        elif not test:
            text, tone = f"All numbers are of {validation}. There are no test days to report.", "open"
        else:
            text = f"Decided on {validation}; reported on {test}."
        count = self.known.looks.get(self.dataset, 0)
        if test and count == 1:
            text += " The test days were looked at once."
        elif test and count > 1:
            text += f" The test days were looked at {count} times, so their scores may be a little too good."
        return Statement("Days", text, tone)

    def _span(self, part: str) -> str:
        """Say how many days of a part were scored, and when they were; empty where there are none."""
        row = next((row for row in self.rows if row.days(part)), None)
        if row is None:
            return ""
        content = row.entries[0].content[part]
        days = _count(row.days(part) or 0, f"{part} day")
        return f"{days} ({content['first_day']} to {content['last_day']})"

    def _nothing_to_judge(self) -> Statement:
        if self.has_posterior:
            text = "Members of the posterior have seen the observed day, so nothing here measures skill."
        else:
            text = "There is no experiment to judge."
        if self.strongest:
            crps = self._found(self.strongest, CRPS)["value"]
            text += (
                f" The strongest simple method is {self.strongest.name}: its error, the fair CRPS, is "
                f"{number(crps, score_of(CRPS))} mm/day."
            )
        return Statement("Worth", text, "open")

    # --------------------------------------------------------------------------------------- what it is worth

    def _worth(self, best: Row) -> list[Statement]:
        """Compare the best experiment with the strongest baseline: where it is decided, and where it is reported."""
        head = f"The best experiment is {best.name}.{self._as_good(best)} " if len(self.experiments) > 1 else ""
        if self.elsewhere:
            head += f"Scored on other days, so not comparable: {_listed([row.name for row in self.elsewhere])}. "
        if self.strongest is None:
            crps = number(self._found(best, CRPS)["value"], score_of(CRPS))
            text = (
                f"{head}Its error, the fair CRPS, is {crps} mm/day. No simple method was compared, so it is not known "
                "whether the model is worth its training. Name some in `baselines.names`."
            )
            return [Statement("Worth", text, "open")]
        against = f"the strongest simple method ({self.strongest.name})"
        found, tone = _difference(best.name, best.change(self.part, ALL_DAYS, self.strongest), against)
        text = f"{head}By the error of the whole ensemble (fair CRPS) on the {self.part} days, {found}"
        if tone != "good":
            text += f" Until an experiment is better, prefer {self.strongest.name}, which is simpler."
        said = [Statement("Worth", text, tone)]
        if self.part == VALIDATION and best.days(TEST):
            text, again = _difference(best.name, best.change(TEST, ALL_DAYS, self.strongest), self.strongest.name)
            if again == tone:
                text += " This is as on the validation days."
            elif "open" not in (again, tone):
                text += " The validation days say the opposite."
            said.append(Statement("Test days", text, again))
        return said

    def _as_good(self, best: Row) -> str:
        """Name the other experiments that are not distinguishable from the best."""
        alike = []
        for row in self.experiments:
            found = row.change(self.part, ALL_DAYS, best)
            if row is not best and found["low"] is not None and found["low"] <= 0 <= found["high"]:
                alike.append(row.name)
        return f" Not distinguishable from it: {_listed(alike)}." if alike else ""

    def _calibration(self, best: Row) -> Statement:
        place, words = self._judged(
            best,
            "spread_skill",
            "the members differ as much as they should",
            "the members are too alike, so the ensemble understates the risk",
            "the members differ more than they should",
        )
        if place == "unknown":
            text = f"The spread of {best.name} is not known. A single member says nothing of its own uncertainty."
            return Statement("Calibration", text, "bad")
        text = f"Spread / skill is {self._value(best, 'spread_skill')}, and 1 is calibrated: {words}."
        return Statement("Calibration", text, _tone(place))

    def _amounts(self, best: Row) -> Statement:
        wet, of_wet = self._judged(best, "wet_difference", "as often as observed", "too seldom", "it drizzles")
        mass, of_mass = self._judged(best, "mass_bias", "no rain is lost", "rain is lost", "there is too much rain")
        found, shown = self._found(best, "wet_fraction"), score_of("wet_fraction")
        share, observed = (number(found.get(key), shown) for key in ("value", "observed"))
        threshold = settings_of(best).wet_threshold
        text = (
            f"{share} % of the cells have more than {threshold:g} mm/day, and {observed} % are observed: "
            f"{self._value(best, 'wet_difference')} points off: {of_wet}. "
            f"The total rain is off by {self._value(best, 'mass_bias')} %: {of_mass}."
        )
        return Statement("Drizzle and mass", text, _tone(wet, mass))

    def _extremes(self, best: Row) -> Statement:
        places, said = [], []
        for key, name in {"p99_ratio": "99th", "p999_ratio": "99.9th"}.items():
            place, words = self._judged(best, key, "as strong as observed", "too weak", "too strong")
            places.append(place)
            said.append(f"The {name} percentile of the rain is {self._value(best, key)} of the observed: {words}.")
        return Statement("Extremes", " ".join(said), _tone(*places))

    def _texture(self, best: Row) -> Statement:
        sharp, of_sharp = self._judged(best, "gradient_ratio", "as sharp as observed", "too smooth", "too rough")
        power, of_power = self._judged(
            best, "lsd_db", "good at all scales", "good at all scales", "wrong at some scales"
        )
        text = (
            f"Differences of neighbouring cells are {self._value(best, 'gradient_ratio')} of the observed: {of_sharp}. "
            f"The power spectrum is off by {self._value(best, 'lsd_db')} dB: {of_power}."
        )
        return Statement("Sharpness", text, _tone(sharp, power))

    def _judged(self, row: Row, key: str, good: str, low: str, high: str) -> tuple[Place, str]:
        """Tell where a score lies in its band of good values, and choose the words for it."""
        score = score_of(key)
        place, band = place_in_band(row, self.part, score), score.band(row.found(self.part, ALL_DAYS, score.key))
        unsure = f"open, {number(band[0], score)} to {number(band[2], score)} is good" if band else ""
        return place, {"good": good, "low": low, "high": high, "open": unsure, "unknown": "not known"}[place]

    # -------------------------------------------------------------------------------------- limits and advice

    def _limits(self) -> Statement:
        """Say what may not be concluded."""
        said = []
        if self.dataset in self.known.synthetic:
            said.append("The rain is synthetic, so nothing follows for a real place.")
        if self.dataset in self.known.perfect or self._coarse_rain_is_true():
            said.append(
                "The coarse rain is that of the truth itself. So this is skill of disaggregation, not of a forecast or "
                "of a climate model."
            )
        years = self._years()
        if years and len(years) == 1:
            said.append(f"All days are of {years[0]}, so nothing is known of other years.")
        elif years and len(years) < YEARS_OF_A_CLIMATE:
            said.append(f"{len(years)} years are too few for return levels.")
        days = max((row.days(self.part) or 0 for row in self.rows), default=0)
        if days < FEW_DAYS:
            said.append(f"Only {_count(days, f'{self.part} day')}: a few storms decide, above all on the extremes.")
        if self.has_posterior and self.best is not None:
            said.append("Members of the posterior have seen the observed day: their scores are no skill.")
        said.append("Skill here is no proof of skill in another region or in another climate.")
        return Statement("Not to conclude", " ".join(said))

    def _coarse_rain_is_true(self) -> bool:
        """Tell whether a method without knowledge of the fine rain hits the mean over the domain up to rounding."""
        for row in self.rows:
            observed = self._found(row, "mean").get("observed")
            error = self._found(row, "domain_crps")["value"]
            if row.mode != POSTERIOR and observed and error is not None and error < GIVEN_DOMAIN_MEAN * observed:
                return True
        return False

    def _years(self) -> list[int]:
        """List the years from the first to the last of the scored days."""
        contents = [row.entries[0].content.get(part) for row in self.rows for part in (VALIDATION, TEST)]
        days = [content[end] for content in contents if content for end in ("first_day", "last_day")]
        years = [int(day[:4]) for day in days]
        return list(range(min(years), max(years) + 1)) if years else []

    def _next(self) -> Statement:
        if self.best is None:
            text = "Draw from the prior: `sampling.mode: prior`." if self.has_posterior else "Add an experiment."
            return Statement("Next", text)
        name = self.best.entries[0].content["name"]
        verdicts = [one for one in self.known.verdicts if (one["name"], one["mode"]) == (name, self.best.mode)]
        if not verdicts:
            text = f"There is no verdict on {name}. Compare its scores with the shaded bands of the figures."
            return Statement("Next", text)
        judged = [check for check in verdicts[0]["checks"] if check["passed"] is not None]
        failed = [check for check in judged if not check["passed"]]
        if not failed:
            return Statement("Next", f"{name} passes all {len(judged)} checks of the verdict.", "good")
        text = f"{name} fails {len(failed)} of {len(judged)} checks of the verdict, first “{failed[0]['check']}”."
        return Statement("Next", f"{text} {failed[0]['advice']}", "bad")

    # --------------------------------------------------------------------------------------------- numbers

    def _found(self, row: Row, key: str) -> Found:
        return row.found(self.part, ALL_DAYS, key)

    def _value(self, row: Row, key: str) -> str:
        """Write a score with its interval."""
        found, score = self._found(row, key), score_of(key)
        text = number(found["value"], score)
        if found["low"] is None or found["high"] is None:
            return text
        return f"{text} ({number(found['low'], score)} to {number(found['high'], score)})"


def _difference(name: str, found: Found, against: str) -> tuple[str, Tone]:
    """Say whether an ensemble is better than another, and by how much."""
    if found["value"] is None:
        return f"{name} cannot be compared with {against}.", "open"
    direction = "better" if found["value"] < 0 else "worse"
    value = 100 * found["value"]
    if found["low"] is None or found["high"] is None:
        return f"{name} is {direction} than {against} by {abs(value):.1f} %. Its uncertainty is not known.", "open"
    low, high = 100 * found["low"], 100 * found["high"]
    if low <= 0 <= high:
        return f"{name} is not distinguishable from {against}: {value:+.1f} % ({low:+.1f} to {high:+.1f} %).", "open"
    least, most = sorted((abs(low), abs(high)))
    text = f"{name} is {direction} than {against} by {abs(value):.1f} % ({least:.1f} to {most:.1f} %)."
    return text, "good" if high < 0 else "bad"


def _tone(*places: Place) -> Tone:
    """Give bad where one place is off, good where all are good, and open else."""
    if "low" in places or "high" in places:
        return "bad"
    return "good" if set(places) == {"good"} else "open"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
