"""A small, made-up species_data: figures chosen so that every answer can be worked out by hand."""

from __future__ import annotations

from pathlib import Path

from app.clinic.records import Records, load
from app.clinic.safety import PROMPT_FILES

S = (
    'sources = [{ title = "T", url = "https://example.org/t", publisher = "P", kind = "label", read_on = 2026-11-21, '
    'supports = ["dose"] }]'
)
INLINE = S.removeprefix("sources = ")

DOG = f"""
name = "dog"
names = {{ en = ["dog", "dogs", "canine", "K9"], es = ["perro"] }}
juvenile = ["puppy"]
male = ["stud"]
female = ["bitch"]
can_vomit = true
weight_kg = {{ min = 0.5, max = 110, {S} }}
surface_k = {{ value = 10, {S} }}

[[vital]]
name = "temperature"
unit = "Cel"
low = 38
high = 39
{S}

[[breed]]
name = "Collie"
names = ["rough collie", "lassie"]
genes = [{{ gene = "ABCB1", frequency = 0.7, {S} }}]
weight_kg = {{ min = 18, max = 34, {S} }}

[[breed]]
name = "Chihuahua"
names = ["chi"]
weight_kg = {{ min = 1.5, max = 3, {S} }}
"""
CAT = f"""
name = "cat"
names = {{ en = ["cat", "feline"] }}
juvenile = ["kitten"]
can_vomit = true
glucuronidation = "deficient"
weight_kg = {{ min = 0.1, max = 15, {S} }}

[[breed]]
name = "Domestic Shorthair"
names = ["DSH", "moggy"]
"""
HORSE = f"""
name = "horse"
names = {{ en = ["horse", "equine"] }}
neutered_male = ["gelding"]
female = ["mare"]
can_vomit = false
hindgut_fermenter = true
production_classes = ["companion", "slaughter"]
weight_kg = {{ min = 20, max = 1200, {S} }}
"""
CATTLE = f"""
name = "cattle"
names = {{ en = ["cattle", "cow", "bovine"] }}
food_producing = true
production_classes = ["beef", "dairy", "dairy_20_months_plus"]
weight_kg = {{ min = 20, max = 1500, {S} }}
"""


def dose(
    name: str, species: str, amount: str, rest: str, basis: str = "per_kg", kind: str = "range", **keys: str
) -> str:
    """A [[dose]] with a source; `rest` is further lines."""
    fields = {"indication": '"pain"', "route": '"PO"', "per": '"dose"', "status": '"label"', "country": '"US"'} | keys
    lines = "\n".join(f"{key} = {value}" for key, value in fields.items())
    return f"""
[[dose]]
id = "{name}"
species = "{species}"
dose = {{ {amount} }}
basis = "{basis}"
dose_kind = "{kind}"
{lines}
{rest}
{S}
"""


DAILY = "interval_h = { min = 24, max = 24 }"
MOST = 'max_single = { value = 50, unit = "mg" }'
MOST_A_DAY = 'max_daily = { value = 4, unit = "mg/kg" }'
SURFACE = {"basis": "per_m2", "kind": "exact", "route": '"IV"', "indication": '"tumour"'}
ALPHA = (
    f"""
generic = "alphadol"
synonyms = ["alfadol"]
brands = [{{ name = "Alphavet", country = "US" }}, {{ name = "Duo", country = "US" }}]
class = ["nsaid"]
narrow = "Narrow."

[[formulation]]
form = "tablet"
strength = 25
unit = "mg"
splittable = true
{S}

[[formulation]]
form = "injection"
strength = 10
unit = "mg/mL"
{S}
"""
    + dose("alphadol-dog-po", "dog", 'min = 1, max = 2, unit = "mg/kg"', f"{DAILY}\n{MOST}")
    + dose("alphadol-cat-po", "cat", 'min = 5, max = 5, unit = "mg"', DAILY, basis="per_animal", kind="exact",
           status='"extra_label"')
    + dose("alphadol-dog-iv", "dog", 'min = 10, max = 10, unit = "ug/kg/min"', "", kind="cri", route='"IV"',
           indication='"surgery"')
    + dose("alphadol-dog-sc", "dog", 'min = 9, max = 9, unit = "mg/kg"', DAILY, route='"SC"', status='"unverified"')
    + dose("alphadol-horse-po", "horse", 'min = 4, max = 4, unit = "mg/kg"', "interval_h = { min = 12, max = 12 }",
           per='"day"', status='"guideline"')
    + dose("alphadol-cattle-iv", "cattle", 'min = 1, max = 1, unit = "mg/kg"', DAILY + "\nwithdrawal = { meat_d = 4 }",
           route='"IV"', production_class='"beef"')
)  # fmt: skip
BETA = (
    f"""
generic = "betasone"
brands = [{{ name = "Duo", country = "US" }}]
class = ["steroid"]
controlled = true

[[formulation]]
form = "tablet"
strength = 20
unit = "mg"
splittable = "quarters"
{S}
"""
    + dose("betasone-dog-po", "dog", 'min = 2, max = 2, unit = "mg/kg"', f"{DAILY}\n{MOST_A_DAY}", kind="minimum")
    + dose("betasone-dog-surface", "dog", 'min = 30, max = 30, unit = "mg/m2"', "once = true", **SURFACE)
    + dose("betasone-cat-surface", "cat", 'min = 30, max = 30, unit = "mg/m2"', "once = true", **SURFACE)
    + dose("betasone-cattle-po", "cattle", 'min = 1, max = 1, unit = "mg/kg"', DAILY)
    + dose("betasone-puppy-po", "dog", 'min = 1, max = 1, unit = "mg/kg"', DAILY, life_stage='"puppy"', kind="exact")
)
INSULIN = """
generic = "insulin"
class = ["insulin"]
""" + dose(
    "insulin-dog", "dog", 'min = 0.25, max = 0.5, unit = "[IU]/kg"', "interval_h = { min = 12, max = 12 }", route='"SC"'
)
LIQUID = f"""
generic = "liquidol"
class = ["fluid"]
{S.replace("sources", "#")}
""" + dose("liquidol-dog", "dog", 'min = 2, max = 4, unit = "mL/kg"', "interval_h = { min = 8, max = 12 }")
RULES = f"""
[[rule]]
id = "alphadol-cat"
trigger = {{ species = ["cat"], route = ["IV"] }}
drug = ["alphadol"]
action = "forbid"
severity = "absolute"
text = "Never give alphadol into the vein of a cat."
owner_text = "Do not."
alternatives = ["rest"]
{S}

[[rule]]
id = "two-nsaids"
trigger = {{ co_class = ["nsaid", "steroid"] }}
class = ["nsaid"]
action = "forbid"
severity = "absolute"
text = "Not two of these."
owner_text = "Not both."
{S}

[[rule]]
id = "betasone-mdr1"
trigger = {{ species = ["dog"], gene = ["ABCB1"] }}
drug = ["betasone"]
action = "caution"
severity = "high"
text = "Carriers of the variant are sensitive."
owner_text = "Ask first."
except = "labelled low doses"
except_dose_below = {{ value = 0.5, unit = "mg/kg" }}
{S}

[[rule]]
id = "betasone-collie"
trigger = {{ breed = ["Collie"] }}
drug = ["betasone"]
action = "monitor"
severity = "info"
text = "Watch collies."
owner_text = "Watch."
{S}

[[rule]]
id = "alphadol-kidney"
trigger = {{ condition = ["kidney disease"] }}
drug = ["alphadol"]
action = "caution"
severity = "high"
text = "Kidneys."
owner_text = "Kidneys."
{S}

[[rule]]
id = "betasone-limit"
trigger = {{ species = ["dog"] }}
drug = ["betasone"]
action = "limit"
limit = {{ value = 3, unit = "mg/kg" }}
severity = "moderate"
text = "Not more than 3 mg/kg."
owner_text = "Not more."
{S}

[[rule]]
id = "betasone-daily-limit"
trigger = {{ species = ["dog"] }}
drug = ["betasone"]
action = "limit"
limit = {{ value = 200, unit = "mg", per = "day" }}
severity = "moderate"
text = "Not more than 200 mg a day."
owner_text = "Not more."
{S}

[[rule]]
id = "alphadol-young"
trigger = {{ age_months_max = 3 }}
drug = ["alphadol"]
action = "forbid"
severity = "high"
text = "Not under 3 months."
owner_text = "Too young."
{S}

[[rule]]
id = "alphadol-pregnant"
trigger = {{ pregnant = true }}
drug = ["alphadol"]
action = "caution"
severity = "high"
text = "Not in pregnancy."
owner_text = "Not when pregnant."
{S}

[[rule]]
id = "alphadol-lactating"
trigger = {{ lactating = true }}
drug = ["alphadol"]
action = "caution"
severity = "moderate"
text = "Passes into milk."
owner_text = "Passes into milk."
{S}

[[rule]]
id = "alphadol-tiny"
trigger = {{ weight_kg_max = 1 }}
drug = ["alphadol"]
action = "caution"
severity = "high"
text = "Not under 1 kg."
owner_text = "Too small."
{S}

[[rule]]
id = "alphadol-stallion"
trigger = {{ species = ["horse"], sex = ["male"] }}
drug = ["alphadol"]
action = "monitor"
severity = "high"
text = "Stallions."
owner_text = "Stallions."
{S}

[[rule]]
id = "alphadol-food-horse"
trigger = {{ species = ["horse"], food_producing = true, jurisdiction = ["US"] }}
drug = ["alphadol"]
action = "forbid"
severity = "absolute"
text = "Not in horses for slaughter."
owner_text = "Not in horses for slaughter."
{S}

[[rule]]
id = "alphadol-dairy"
trigger = {{ species = ["cattle"], production_class = ["dairy"], age_months_min = 20, jurisdiction = ["US", "UK"] }}
drug = ["alphadol"]
action = "forbid"
severity = "absolute"
text = "Not in dairy cows of 20 months or more."
owner_text = "Not in dairy cows."
{S}

[[rule]]
id = "gammaline-dog"
trigger = {{ species = ["any"] }}
drug = ["gammaline"]
action = "caution"
severity = "moderate"
text = "Gammaline needs care."
owner_text = "Care."
{S}
"""
BITTER = f"""
name = "bitter"
names = ["bitters", "bitter bar"]
other_names = {{ de = ["Bitteres"] }}
agent = "bitterine"
category = "food"
onset_h = {{ min = 1, max = 4, {S} }}
emesis_window_h = {{ value = 2, {S} }}
emesis = {{ advised = "yes", why = "Early.", {S} }}
antidotes = ["none"]
actions = ["do"]
owner_actions = ["call"]
effects = ["trembling"]

[[product]]
name = "weak bitter"
names = ["weak", "10% bitter"]
content = {{ value = 1, unit = "mg/g" }}
unit_mass_g = {{ value = 5, what = "a square" }}
{S}

[[product]]
name = "strong bitter"
names = ["strong", "50% bitter"]
components = [{{ agent = "bitterine", value = 6, unit = "mg/g" }}, {{ agent = "sourine", value = 4000, unit = "ug/g" }}]
{S}

[[product]]
name = "extra strong bitter"
names = ["extra"]
content = {{ value = 20, unit = "mg/g" }}
worst_case = true
{S}

[[product]]
name = "bitter syrup"
names = ["syrup"]
content = {{ value = 3, unit = "mg/mL" }}
{S}

[[threshold]]
species = ["dog"]
value = 10
unit = "mg/kg"
band = "mild"
effect = "drool"
{S}

[[threshold]]
species = ["dog"]
value = 100
unit = "mg/kg"
band = "severe"
effect = "fits"
{S}

[[no_threshold]]
species = ["horse"]
band = "moderate"
effect = "not known"
{S}
"""
PILL = f"""
name = "pillol"
names = ["pillolin"]
agent = "pillol"
category = "medicine"
actions = ["do"]
owner_actions = ["call"]
effects = ["sleep"]

[[product]]
name = "pillol tablet"
names = ["tablet"]
content = {{ value = 200, unit = "mg/unit" }}
{S}

[[threshold]]
species = ["any"]
value = 50
unit = "mg/kg"
band = "life_threatening"
effect = "coma"
{S}
"""
FLOWER = f"""
name = "deathflower"
names = ["death flower"]
agent = "unknown"
category = "plant"
no_safe_amount_species = ["cat"]
emesis = {{ advised = "contraindicated", why = "It burns.", {S} }}
actions = ["do"]
owner_actions = ["call"]
effects = ["death"]

[[product]]
name = "petal"
{S}

[[threshold]]
species = ["dog"]
value = 2
unit = "g/kg"
band = "moderate"
effect = "belly ache"
{S}

[[no_threshold]]
species = ["cat"]
band = "life_threatening"
effect = "kidneys fail"
{S}
"""
ANTI = f"""
name = "antifrost"
agent = "antifrost glycol"
category = "chemical"
actions = ["do"]
owner_actions = ["call"]
effects = ["drunk"]

[[threshold]]
species = ["dog"]
value = 4
unit = "mL/kg"
band = "life_threatening"
effect = "kidneys"
{S}
"""
SOUR = f"""
name = "sour"
agent = "sourine"
category = "food"
actions = ["do"]
owner_actions = ["call"]
effects = ["sour face"]

[[product]]
name = "sour sweet"
content = {{ value = 10, unit = "mg/unit" }}
unit_mass_g = {{ value = 2, what = "a sweet" }}
{S}

[[threshold]]
species = ["dog"]
value = 5
unit = "mg/kg"
band = "moderate"
effect = "sour"
{S}
"""
ANALYTE = f"""
name = "creatinine"
names = ["crea"]
loinc = "2160-0"
unit = "mg/dL"
si_unit = "umol/L"
factor = 88.4
factor_sources = {INLINE}

[[interval]]
species = "dog"
unit = "mg/dL"
low = 0.5
high = 1.5
critical_high = 5
{S}
"""
TRIAGE = f"""
[[flag]]
id = "blocked"
species = ["cat"]
sex = "male"
sign = "straining"
phrases = {{ en = ["can't pee"] }}
all_of = [["straining"], ["pee"]]
level = "emergency"
see_within_min = 0
vtl_colour = "red"
reason = "blocked"
{S}

[[contact]]
name = "Poison Line"
phone = "1"
country = "US"
kind = "poison_line"
{S}

[[contact]]
name = "Giftnotruf"
phone = "2"
country = "EU"
kind = "poison_line"
{S}
"""
SIGNS = """
[[sign]]
id = "vomiting"
words = { en = ["vomiting", "throwing up"], es = ["vomita"] }

[[sign]]
id = "big-belly"
name = "swollen belly"
words = { en = ["bloated"] }
"""
SWELLING = f"""
name = "swelling"
names = ["bloat", "SD"]
species = ["dog"]
only = {{ sex = "female", neutered = false }}
signalment = {{ age_months_min = 60, age_months_max = 200, breeds = ["lassie"], ages = ["old"] }}
signs = [
  {{ sign = "big-belly", weight = "cardinal" }},
  {{ analyte = "creatinine", direction = "high", weight = "common" }},
]
against = [{{ sign = "vomiting" }}]
urgency = "emergency"
cant_miss = true
first_tests = ["radiographs"]
toxin = "pillol"
notes = "Hurry."
{S}
"""
FILES = {
    "species/dog": DOG,
    "species/cat": CAT,
    "species/horse": HORSE,
    "species/cattle": CATTLE,
    "drugs/alphadol": ALPHA,
    "drugs/betasone": BETA,
    "drugs/insulin": INSULIN,
    "drugs/liquidol": LIQUID,
    "rules/all": RULES,
    "toxins/bitter": BITTER,
    "toxins/pillol": PILL,
    "toxins/deathflower": FLOWER,
    "toxins/antifrost": ANTI,
    "toxins/sour": SOUR,
    "analytes/creatinine": ANALYTE,
    "triage/all": TRIAGE,
    "conditions/signs": SIGNS,
    "conditions/swelling": SWELLING,
}


def write(root: Path, **changes: tuple[str, str] | str) -> Path:
    """Put the files under `root`; a change is (old, new) for `folder__name`, or a whole file."""
    (root / "prompts").mkdir(parents=True, exist_ok=True)
    for name in PROMPT_FILES:
        (root / "prompts" / f"{name}.md").write_text("Be true.\n", encoding="utf-8")
    for path, text in FILES.items():
        change = changes.pop(path.replace("/", "__"), None)
        if isinstance(change, tuple):
            assert change[0] in text, change[0]
            text = text.replace(change[0], change[1])
        elif change is not None:
            text = change
        file = root / "species_data" / f"{path}.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    for name, text in changes.items():
        assert isinstance(text, str)
        file = root / "species_data" / f"{name.replace('__', '/')}.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return root


def made(root: Path, **changes: tuple[str, str] | str) -> Records:
    """The records of `write`."""
    return load(write(root, **changes))
