"""species_data is read to the letter: what is wrong is refused, naming file and key."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from app.base.errors import BadData
from app.clinic.records import Records, cross_check, load, problems, ruleset
from tests.clinic.conftest import ROOT
from tests.clinic.made import ALPHA, CAT, DAILY, FLOWER, PILL, RULES, SIGNS, SWELLING, S, dose, made, write

PRINTED = '\nas_printed = { min = 1, max = 1, unit = "mg/lb" }'
CAT_IV = 'trigger = { species = ["cat"], route = ["IV"] }'
STRONG = 'names = ["strong",'


def test_the_shipped_files_are_right() -> None:
    assert problems(ROOT) == []


def test_the_first_set_is_covered(records: Records) -> None:
    recorded = [drug for drug in records.drugs.values() if drug.has_record]

    assert {"dog", "cat", "rabbit", "horse", "cattle"} <= set(records.species)
    assert len(recorded) >= 30
    assert len(records.toxins) >= 12
    assert len(records.analytes) >= 15
    assert len(records.flags) >= 20


def test_every_shipped_figure_has_a_source_that_was_read(records: Records) -> None:
    def figures(row: object, path: str) -> None:
        if isinstance(row, list | tuple):
            for item in row:
                figures(item, path)
        elif is_dataclass(row):
            names = {item.name for item in fields(row)}
            if "sources" in names and type(row).__name__ not in ("Quantity", "Range"):
                assert row.sources, path  # type: ignore[attr-defined]
            for item in fields(row):
                if not item.name.startswith("_") and item.name != "json":
                    figures(getattr(row, item.name), f"{path}.{item.name}")

    for shelf in (records.drugs, records.toxins, records.species, records.analytes):
        for name, row in shelf.items():
            figures(row, name)
    figures(records.rules, "rules")
    figures(records.flags, "flags")


def test_no_shipped_dose_lies_ten_times_from_another_without_a_word(records: Records) -> None:
    assert cross_check(records) == []


def test_a_dose_ten_times_another_sources_fails_the_cross_check(tmp_path: Path) -> None:
    slip = dose("alphadol-dog-slip", "dog", 'min = 20, max = 20, unit = "mg/kg"', DAILY)

    assert cross_check(made(tmp_path, drugs__alphadol=ALPHA + slip)) == [
        "alphadol-dog-slip is ten times alphadol-dog-po or more; say why in `apart`"
    ]


def test_a_far_dose_that_says_why_passes_the_cross_check(tmp_path: Path) -> None:
    slip = dose("alphadol-dog-slip", "dog", 'min = 20, max = 20, unit = "mg/kg"', DAILY + '\napart = "another disease"')

    assert cross_check(made(tmp_path, drugs__alphadol=ALPHA + slip)) == []


@pytest.mark.parametrize(
    ("file", "change", "says"),
    [
        ("drugs__alphadol", ('narrow = "Narrow."', "narow = 1"), "narow: is not a key we know"),
        ("drugs__alphadol", ('generic = "alphadol"', 'generic = "Alphadol"'), "must be lower case"),
        ("drugs__alphadol", ('generic = "alphadol"', "generic = 1"), "generic: must be words"),
        ("drugs__alphadol", ('generic = "alphadol"', 'generic = "other"'), "belongs in a file of that name"),
        ("drugs__alphadol", ('class = ["nsaid"]', ""), "class: must be a list of words"),
        ("drugs__alphadol", ('class = ["nsaid"]', "class = []"), "class: must not be empty"),
        ("drugs__alphadol", ("splittable = true", 'splittable = "thirds"'), "must be true, false, halves or quarters"),
        ("drugs__alphadol", ("splittable = true", "splittable = []"), "must be true, false, halves or quarters"),
        ("drugs__alphadol", ('unit = "mg/mL"', 'unit = "mg/foo"'), "is not a unit we know"),
        ("drugs__alphadol", ("strength = 25", "strength = 0"), "must be more than 0"),
        ("drugs__alphadol", ("strength = 25", 'strength = "25"'), "must be a number"),
        ("drugs__alphadol", ("strength = 25", ""), "strength: is missing"),
        ("drugs__alphadol", ("min = 1, max = 2", "min = 3, max = 2"), "is more than max"),
        ("drugs__alphadol", ("min = 1, max = 2", "min = -1, max = 2"), "must not be negative"),
        ("drugs__alphadol", ('dose = { min = 1, max = 2, unit = "mg/kg" }', ""), "dose: is missing"),
        ("drugs__alphadol", ('min = 1, max = 2, unit = "mg/kg"', 'min = 1, max = 2, unit = "mg"'), "does not fit"),
        ("drugs__alphadol", ('min = 1, max = 2, unit = "mg/kg"', 'min = 1, max = 2, unit = "mg/lb"'), "must be per kg"),
        ("drugs__alphadol", (DAILY, f"{DAILY}\nonce = true"), "give either interval_h or once"),
        ("drugs__alphadol", (DAILY, 'interval_h = { min = 24, max = 24, unit = "h" }'), "is not a key we know"),
        ("drugs__alphadol", ('id = "alphadol-dog-po"', 'id = "Alphadol dog"'), "lower-case words joined by hyphens"),
        ("drugs__alphadol", ('id = "alphadol-dog-po"', 'id = "alphadol-cat-po"'), "dose id 'alphadol-cat-po' is also"),
        ("drugs__alphadol", ('route = "PO"', 'route = "XX"'), "must be one of PO, SC"),
        ("drugs__alphadol", ('value = 50, unit = "mg"', 'value = 50, unit = "mL"'), "is not comparable with the dose"),
        ("drugs__alphadol", ('species = "horse"', 'species = "zebra"'), "'zebra' has no file in species/"),
        ("drugs__alphadol", ('production_class = "beef"', 'production_class = "milk"'), "is not one of beef, dairy"),
        ("drugs__alphadol", ("https://example.org/t", "example"), "is not a web address"),
        ("drugs__alphadol", ("read_on = 2026-11-21", 'read_on = "today"'), "must be the day it was read"),
        ("drugs__alphadol", ("read_on = 2026-11-21", "read_on = 1999-01-01"), "must be the day it was read"),
        ("drugs__alphadol", ('kind = "label"', 'kind = "rumour"'), "must be one of label"),
        ("drugs__alphadol", (S, ""), "a figure needs a source"),
        ("drugs__alphadol", ('synonyms = ["alfadol"]', 'synonyms = ["insulin"]'), "name 'insulin' is also of"),
        ("drugs__alphadol", ('name = "Alphavet"', 'name = "Insulin"'), "brands: 'Insulin' is also a name of insulin"),
        ("drugs__alphadol", ('narrow = "Narrow."', "controlled = 1"), "must be true or false"),
        ("drugs__alphadol", (DAILY, DAILY + PRINTED), "1 mg/lb is not 1 mg/kg"),
        ("drugs__alphadol", "not toml", "is not TOML"),
        ("rules__all", ('severity = "absolute"', 'severity = "awful"'), "must be one of absolute"),
        ("rules__all", (CAT_IV, "trigger = { }"), "must say when the rule applies"),
        ("rules__all", (CAT_IV, ""), "trigger: is missing"),
        ("rules__all", ('trigger = { species = ["cat"]', 'trigger = { species = ["unicorn"]'), "'unicorn' has no file"),
        ("rules__all", (CAT_IV, "trigger = 3"), "must be a table"),
        ("rules__all", (CAT_IV, 'trigger = { product_of = ["unicorn"] }'), "'unicorn' has no file"),
        ("rules__all", (CAT_IV, CAT_IV + '\ndeed = ["salt"]'), "must be a list of lists"),
        ("rules__all", ('route = ["IV"]', 'route = ["XX"]'), "must be of PO, SC"),
        ("rules__all", ('limit = { value = 3, unit = "mg/kg" }', ""), "belongs to action limit"),
        ("rules__all", ('drug = ["gammaline"]', ""), "a rule names a drug or a class"),
        ("rules__all", ('drug = ["gammaline"]', 'drug = ["alphadoll"]'), "did you mean 'alphadol'?"),
        ("rules__all", ('drug = ["gammaline"]', 'drug = ["Gammaline"]'), "must be lower case"),
        ("rules__all", ('breed = ["Collie"]', 'breed = ["Corgi"]'), "breed 'Corgi' is in no file"),
        ("rules__all", ('id = "two-nsaids"', 'id = "alphadol-cat"'), "rule id 'alphadol-cat' is also"),
        ("toxins__bitter", ('content = { value = 20, unit = "mg/g" }', "content = 20"), "content: must be a table"),
        ("toxins__bitter", ("value = 4000", "value = -1"), "must not be negative"),
        ("toxins__bitter", ('unit = "ug/g" }]', 'unit = "mL/g" }]'), "must share a kind of unit"),
        ("toxins__bitter", (STRONG, f'content = {{ value = 9, unit = "mg/g" }}\n{STRONG}'), "not the sum"),
        ("toxins__bitter", ('unit = "mg/kg"', 'unit = "mg/mL"'), "must be per kg of the animal"),
        ("toxins__bitter", ('species = ["horse"]', 'species = ["zebra"]'), "'zebra' has no file in species/"),
        ("toxins__bitter", ('advised = "yes"', 'advised = "maybe"'), "must be one of yes, no, contraindicated"),
        ("toxins__bitter", ('names = ["bitters",', 'names = ["pillolin",'), "toxin name 'pillolin' is also of"),
        ("toxins__deathflower", ('["cat"]\nband', '["horse"]\nband'), "cat needs a no_threshold"),
        ("toxins__pillol", PILL[: PILL.index("[[threshold]]")], "a toxin needs a threshold or a no_threshold"),
        ("species__dog", ("frequency = 0.7", "frequency = 70"), "is a share from 0 to 1"),
        ("species__dog", ("low = 38", "low = 40"), "is more than high"),
        ("species__dog", ("can_vomit = true", 'groups = ["beast"]'), "has 'beast', must be of small_mammal"),
        ("species__dog", ('es = ["perro"]', 'xx = ["perro"]'), "xx: is not a key we know"),
        ("species__cat", CAT.replace("weight_kg", "#"), "weight_kg: is missing"),
        ("species__cat", ('"cat", "feline"', '"cat", "canine"'), "species name 'canine' is also of"),
        ("analytes__creatinine", ("low = 0.5", "low = 9"), "must rise"),
        ("analytes__creatinine", ('unit = "mg/dL"\nlow', 'unit = "g/L"\nlow'), "is neither mg/dL nor umol/L"),
        ("analytes__creatinine", ('species = "dog"', 'species = "zebra"'), "'zebra' has no file in species/"),
        ("triage__all", ('all_of = [["straining"], ["pee"]]', 'all_of = ["x"]'), "must be a list of lists of words"),
        ("triage__all", ('species = ["cat"]', 'species = ["zebra"]'), "species 'zebra' has no file"),
        ("triage__all", ('vtl_colour = "red"', 'vtl_colour = "pink"'), "must be one of red, orange"),
        ("triage__all", ('vtl_colour = "red"', 'vtl_colour = "red"\nsigns = ["glow"]'), "sign 'glow' is not in"),
        ("conditions__signs", ('en = ["bloated"]', 'es = ["hinchado"]'), "words: must have English phrases"),
        ("conditions__signs", ('id = "big-belly"', 'id = "vomiting"'), "sign id 'vomiting' is also"),
        ("conditions__signs", ('en = ["bloated"]', 'en = ["Throwing up"]'), "phrase 'Throwing up' is also of vomiting"),
        ("conditions__signs", (SIGNS[:9], "\n[[sing]]"), "sing: is not a key we know"),
        ("conditions__swelling", ('sign = "big-belly", ', ""), "give either sign or analyte"),
        ("conditions__swelling", ('sign = "big-belly"', 'sign = "big-nose"'), "'big-nose' is not in signs.toml"),
        ("conditions__swelling", ('analyte = "creatinine"', 'analyte = "zinc"'), "'zinc' has no file in analytes/"),
        ("conditions__swelling", ('direction = "high", ', ""), "direction: is missing"),
        ("conditions__swelling", ('weight = "cardinal"', 'weight = "0.9"'), "must be one of cardinal, common"),
        ("conditions__swelling", ('sign = "vomiting"', 'sign = "big-belly"'), "'big-belly' is there twice"),
        ("conditions__swelling", ('species = ["dog"]', 'species = ["zebra"]'), "'zebra' has no file in species/"),
        ("conditions__swelling", ('breeds = ["lassie"]', 'breeds = ["DSH"]'), "'DSH' is no breed of dog"),
        ("conditions__swelling", ("age_months_min = 60", "age_months_min = 900"), "more than age_months_max"),
        ("conditions__swelling", ('urgency = "emergency"', 'urgency = "home_care"'), "must be one of emergency"),
        ("conditions__swelling", ('first_tests = ["radiographs"]', ""), "first_tests: must be a list of words"),
        ("conditions__swelling", ('toxin = "pillol"', 'toxin = "pilol"'), "'pilol' has no file in toxins/"),
        ("conditions__swelling", ('ages = ["old"]', 'ages = ["ancient"]'), "has 'ancient', must be of newborn, young"),
        ("conditions__swelling", ("signs = [", "sings = ["), "sings: is not a key we know"),
        ("conditions__swelling", SWELLING[: SWELLING.index("signs =")] + SWELLING[SWELLING.index("urg") :], "signs:"),
        ("drugs__empty", "", "generic: is missing"),
        ("drugs__odd", 'generic = "odd"\nformulation = 3', "class: must be a list of words"),
        ("drugs__odd", 'generic = "odd"\nclass = ["x"]\nformulation = 3', "formulation: must be a list of tables"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused(tmp_path: Path, file: str, change: tuple[str, str] | str, says: str) -> None:
    write(tmp_path, **{file: change})

    with pytest.raises(BadData, match=re.escape(says)) as caught:
        load(tmp_path)
    assert str(caught.value).startswith("species_data/")


def test_problems_lists_one_a_file_and_reads_on(tmp_path: Path) -> None:
    write(tmp_path, drugs__alphadol=("strength = 25", "strength = 0"), species__dog=("low = 38", "low = 40"))

    files = {problem.file for problem in problems(tmp_path)}

    assert {"species_data/drugs/alphadol.toml", "species_data/species/dog.toml"} <= files


def _birds() -> dict[str, str]:
    def bird(name: str, groups: str) -> str:
        return f'name = "{name}"\ngroups = [{groups}]\nweight_kg = {{ min = 0.01, max = 1, {S} }}\n'

    return {
        "species__budgie": bird("budgie", '"bird", "parrot"'),
        "species__grey_parrot": bird("grey parrot", '"bird", "parrot"'),
        "species__snake": bird("snake", '"reptile", "snake"'),
    }


def test_a_dose_for_a_group_holds_for_each_of_its_species_beside_their_own(tmp_path: Path) -> None:
    amount = 'min = 1, max = 2, unit = "mg/kg"'
    noted = dose("alphadol-parrots", "parrot", amount, DAILY + '\nnotes = "With food."')
    own = dose("alphadol-budgie", "budgie", amount, DAILY) + dose("alphadol-snake", "snake", amount, DAILY)
    drug = made(tmp_path, drugs__alphadol=ALPHA + noted + own, **_birds()).drugs["alphadol"]

    said = "Recorded for the group parrot, not for this species alone. With food."
    assert [(row.id, row.species, row.notes) for row in drug.doses if row.species in ("budgie", "grey parrot")] == [
        ("alphadol-parrots-budgie", "budgie", said),
        ("alphadol-parrots-grey-parrot", "grey parrot", said),
        ("alphadol-budgie", "budgie", ""),
    ]
    assert [row.id for row in drug.doses if row.species == "snake"] == ["alphadol-snake"]


def test_rules_poisons_and_red_flags_may_name_groups(tmp_path: Path) -> None:
    records = made(
        tmp_path,
        rules__all=(CAT_IV, 'trigger = { species = ["cat", "budgie", "bird"], route = ["IV"] }'),
        toxins__deathflower=FLOWER.replace('["cat"]', '["bird"]').replace('["dog"]', '["reptile"]'),
        triage__all=('species = ["cat"]', 'species = ["bird"]'),
        **_birds(),
    )
    flower, both = records.toxins["deathflower"], ("budgie", "grey parrot")

    assert records.rules[0].trigger.species == ("cat", *both)
    assert flower.no_safe_amount_species == flower.no_thresholds[0].species == both
    assert flower.thresholds[0].species == ("snake",)
    assert records.flags[0].species == both


def test_a_group_of_no_species_is_refused(tmp_path: Path) -> None:
    fish = dose("alphadol-fish", "fish", 'min = 1, max = 2, unit = "mg/kg"', DAILY)

    with pytest.raises(BadData, match="'fish' has no file in species/"):
        made(tmp_path, drugs__alphadol=ALPHA + fish)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="nothing to read"):
        load(tmp_path)


def test_names_are_found_whatever_their_case_accents_and_hyphens(tmp_path: Path) -> None:
    records = made(tmp_path)

    assert [drug.generic for drug in records.drugs_named("ALPHAVET")] == ["alphadol"]
    assert records.species_named("Canine").name == "dog"  # type: ignore[union-attr]
    assert records.species_named("pérro").name == "dog"  # type: ignore[union-attr]
    assert records.breeds_named("Rough-Collie", "dog")[0].name == "Collie"
    assert records.breeds_named("Collie", "cat") == ()
    assert records.analyte_named("2160-0").name == "creatinine"  # type: ignore[union-attr]


def test_a_brand_of_two_drugs_gives_both(tmp_path: Path) -> None:
    assert [drug.generic for drug in made(tmp_path).drugs_named("Duo")] == ["alphadol", "betasone"]


def test_unknown_names_find_their_neighbours(tmp_path: Path) -> None:
    records = made(tmp_path)

    assert records.near_drugs("alphodol") == ["alphadol"]
    assert records.near_toxins("pilol") == ["pillol"]
    assert records.near_species("canin") == ["dog"]
    assert records.near_drugs("zzzzzz") == []


def test_a_drug_that_only_rules_name_is_known_by_name(tmp_path: Path) -> None:
    drug = made(tmp_path).drugs["gammaline"]

    assert not drug.has_record
    assert drug.doses == ()


def test_a_condition_is_read_whole_and_found_by_any_of_its_names(tmp_path: Path) -> None:
    records = made(tmp_path)
    (found,) = records.conditions_named("Bloat", "dog")
    high, swollen = found.signs[1], found.signs[0]

    assert records.conditions_named("bloat", "cat") == () == records.conditions_named("glanders")
    assert (found.only.sex, found.only.neutered, found.toxin) == ("female", False, "pillol")
    assert (found.signalment.breeds, found.signalment.ages) == (("lassie",), ("old",))
    assert (swollen.sign, swollen.weight, high.analyte, high.direction) == (
        "big-belly", "cardinal", "creatinine", "high",
    )  # fmt: skip
    assert (found.against[0].sign, found.against[0].weight) == ("vomiting", "")
    assert records.signs["big-belly"].name == "swollen belly"
    assert records.signs["vomiting"].words["es"] == ("vomita",)


def test_two_conditions_share_a_name_only_in_different_species(tmp_path: Path) -> None:
    cattle = SWELLING.replace('"swelling"', '"ruminal tympany"').replace('"dog"', '"cattle"')
    other = cattle.replace(
        'signalment = { age_months_min = 60, age_months_max = 200, breeds = ["lassie"], ages = ["old"] }', ""
    )

    records = made(tmp_path, conditions__ruminal_tympany=other)

    assert [one.name for one in records.conditions_named("bloat")] == ["ruminal tympany", "swelling"]
    with pytest.raises(BadData, match="'bloat' is also of ruminal tympany, in the dog"):
        made(tmp_path, conditions__ruminal_tympany=other.replace('"cattle"', '"dog"'))


def test_the_ruleset_changes_with_any_byte_of_data_or_prompt(tmp_path: Path) -> None:
    write(tmp_path)
    first = ruleset(tmp_path)
    (tmp_path / "prompts" / "rules.md").write_text("Be true.", encoding="utf-8")
    second = ruleset(tmp_path)
    (tmp_path / "species_data" / "rules" / "all.toml").write_text(RULES + "\n", encoding="utf-8")

    assert re.fullmatch(r"[0-9a-f]{12}", first)
    assert len({first, second, ruleset(tmp_path)}) == 3


def test_line_endings_do_not_change_the_ruleset(tmp_path: Path) -> None:
    write(tmp_path)
    first = ruleset(tmp_path)
    file = tmp_path / "species_data" / "rules" / "all.toml"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))

    assert first == ruleset(tmp_path)
