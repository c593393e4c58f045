"""What the guard lets out: nothing the absolute rules forbid, everything else byte for byte, however it is cut."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.base.errors import BadData
from app.base.messages import Ask, Caller, Facts, Message, Rule, Text, Triage
from app.clinic import Clinic, judging, safety, units
from app.clinic.patient import PatientShape, normalise
from app.clinic.records import DoseRecord, Records
from app.clinic.safety import HELD_BYTES_MAX, SafetyGuard, load_prompts, render_prompt, rules_for

ROOT = Path(__file__).resolve().parents[2]
CALLER = Caller(1, 1, "internal", frozenset(("chat",)), frozenset(), None, "account", None)
CHUNKINGS = (1, 7, 40, 10**9)
CAT = {"species": "cat", "weight_kg": 4}
DOG = {"species": "dog", "weight_kg": 10}
COLLIE = {"species": "dog", "breed": "Collie", "weight_kg": 25}
RABBIT = {"species": "rabbit", "weight_kg": 2}
HORSE = {"species": "horse", "weight_kg": 500}
COW = {"species": "cattle", "weight_kg": 600}
ON_STEROID = {"species": "dog", "weight_kg": 20, "medications": ["prednisolone 10 mg PO BID"]}

UNSAFE = [
    (CAT, "You can give your cat 1/2 tablet of paracetamol.", "acetaminophen-cat"),
    (CAT, "Acetaminophen 10 mg/kg PO q12h is an option.", "acetaminophen-cat"),
    (CAT, "Give Tylenol every 8 hours.", "acetaminophen-cat"),
    (CAT, "Paracetamol is safe for cats in small doses.", "acetaminophen-cat"),
    (CAT, "Is paracetamol ok for cats? Yes, half a tablet is fine.", "acetaminophen-cat"),
    (CAT, "Paracetamol is often used in people. Give it twice a day.", "acetaminophen-cat"),
    (CAT, "Don't worry, give her some paracetamol.", "acetaminophen-cat"),
    (CAT, "For pain: paracetamol 80 mg.", "acetaminophen-cat"),
    (CAT, "Safe painkillers for cats:\n- Paracetamol\n- Buprenorphine", "acetaminophen-cat"),
    (CAT, "Pain plan:\n1. Acetaminophen\n2. Rest", "acetaminophen-cat"),
    (CAT, "| Drug | Dose |\n|---|---|\n| Acetaminophen | 10 mg/kg |", "acetaminophen-cat"),
    (CAT, "Never give more than 10 mg/kg of acetaminophen.", "acetaminophen-cat"),
    (CAT, "Do not exceed 20 mg/kg of paracetamol.", "acetaminophen-cat"),
    (CAT, "Ibuprofen is not toxic to cats.", "ibuprofen-cat"),
    (CAT, "There is no danger in using ibuprofen.", "ibuprofen-cat"),
    (CAT, "You could try ibuprofen 50 mg once a day.", "ibuprofen-cat"),
    (CAT, "Naproxen can be given to cats with food.", "naproxen-cat"),
    (CAT, "Cats can have paracetamol in small doses.", "acetaminophen-cat"),
    (CAT, "Give your cat a quarter of a Panadol tablet.", "acetaminophen-cat"),
    (CAT, "Although toxic to some, acetaminophen works well and you can give 20 mg/kg.", "acetaminophen-cat"),
    (CAT, "Use aspirin? No. Give paracetamol instead, 1/2 tablet.", "acetaminophen-cat"),
    (CAT, "Acetaminophen is toxic in bulk. However, a small dose of paracetamol is fine.", "acetaminophen-cat"),
    (CAT, "In cats, as in dogs, use acetaminophen at 10 mg/kg.", "acetaminophen-cat"),
    (CAT, "Paracetamol needs care. It is safe at a low dose though.", "acetaminophen-cat"),
    (CAT, "Give acetominophen twice daily.", "acetaminophen-cat"),
    (CAT, "Apply the permethrin spot-on to the cat's neck.", "permethrin-cat"),
    (CAT, "Lilies are harmless to cats, so don't worry.", "toxin-lilies"),
    (DOG, "Give meloxicam 2 mg/kg by mouth once.", "dose-tenfold"),
    (CAT, "Start with carprofen 40 mg/kg.", "dose-tenfold"),
    (CAT, "Administer buprenorphine 0.2 mg/kg IM.", "dose-tenfold"),
    (DOG, "Give carprofen 440 mg by mouth once daily.", "dose-tenfold"),
    (DOG, "Carprofen 44 mg/kg PO q24h.", "dose-tenfold"),
    (DOG, "Carprofen 20 mg/lb once daily.", "dose-tenfold"),
    (DOG, "Give 4 tablets of 100 mg carprofen.", "dose-tenfold"),
    (DOG, "Give 14 mL of meloxicam 1.5 mg/mL by mouth.", "dose-tenfold"),
    (DOG, "Raisins are a healthy snack for dogs.", "toxin-grapes-raisins"),
    (COLLIE, "Give ivermectin 0.3 mg/kg by mouth for mange.", "ivermectin-mdr1"),
    (COLLIE, "Loperamide 0.1 mg/kg PO is a good option.", "loperamide-mdr1-dog"),
    (RABBIT, "Use fipronil spot-on for the fleas.", "fipronil-rabbit"),
    (RABBIT, "Amoxicillin 20 mg/kg PO BID is suitable.", "penicillin-oral-rabbit"),
    (RABBIT, "Start clindamycin by mouth.", "lincosamide-rabbit"),
    (HORSE, "Offer feed with monensin.", "ionophore-horse"),
    (HORSE, "Give lincomycin for ten days.", "lincosamide-horse"),
    (COW, "Chloramphenicol 20 mg/kg IM is effective.", "chloramphenicol-food-us"),
    (ON_STEROID, "Add carprofen 4.4 mg/kg once daily.", "nsaid-corticosteroid"),
    (DOG, "Give meloxicam 0.1 mg/kg together with carprofen 2 mg/kg.", "nsaid-nsaid"),
    (DOG, "For your cat, use ibuprofen 5 mg/kg.", "ibuprofen-cat"),
    (CAT, "A little paracetamol won't hurt.", "acetaminophen-cat"),
    (CAT, "Treat with ibuprofen.", "ibuprofen-cat"),
    (CAT, "Go ahead with the paracetamol.", "acetaminophen-cat"),
    (CAT, "Just crush a paracetamol into her food.", "acetaminophen-cat"),
    (CAT, "Rx: ibuprofen 10 mg PO SID x 3 d", "ibuprofen-cat"),
    (CAT, "Meloxicam is not enough; add naproxen.", "naproxen-cat"),
    (CAT, "Dele paracetamol a su gato.", "acetaminophen-cat"),
    (CAT, "Geben Sie Ihrer Katze Paracetamol.", "acetaminophen-cat"),
    (CAT, "**Acetaminophen** 10 mg/kg", "acetaminophen-cat"),
    (CAT, "Yes, you can use paracetamol.", "acetaminophen-cat"),
    (CAT, "Unless she vomits, give ibuprofen 20 mg.", "ibuprofen-cat"),
    (CAT, "She can get acetaminophen at night.", "acetaminophen-cat"),
    (RABBIT, "An oral penicillin is a suitable option.", "penicillin-oral-rabbit"),
    (RABBIT, "Feed penicillin to the rabbit.", "penicillin-oral-rabbit"),
    (DOG, "You can feed him raisins.", "toxin-grapes-raisins"),
    (DOG, "Grapes make a nice treat.", "toxin-grapes-raisins"),
    (CAT, "NSAIDs: naproxen 5 mg/kg, meloxicam.", "naproxen-cat"),
]  # fmt: skip

SAFE = [
    (COW, "Give doxycycline 10 mg/kg by mouth every 12 hours as the daily dose."),
    (CAT, "Never give acetaminophen to cats."),
    (CAT, "Paracetamol is toxic to cats: even one tablet can kill."),
    (CAT, "In dogs, not cats, acetaminophen may be used at 10 mg/kg."),
    (CAT, "Do not give ibuprofen or paracetamol to your cat."),
    (CAT, "You asked whether you can give your cat paracetamol."),
    (CAT, "Can you give paracetamol to a cat? No, never."),
    (CAT, "If your cat has eaten paracetamol, call a vet now."),
    (CAT, "If you have already given paracetamol, note the time and the amount."),
    (CAT, "Paracetamol poisoning is treated with acetylcysteine."),
    (CAT, "There is no safe dose of paracetamol for cats."),
    (CAT, "Avoid:\n- Paracetamol 10 mg/kg\n- Ibuprofen"),
    (CAT, "## Toxic to cats\n- Paracetamol\n- Ibuprofen\n- Naproxen"),
    (CAT, "Give your cat fresh water and keep it warm."),
    (CAT, "Human painkillers such as paracetamol and ibuprofen can be fatal."),
    (CAT, "Paracetamol, even in tiny doses, is deadly for cats. Give your cat water and keep it warm."),
    (CAT, "Use buprenorphine instead of paracetamol."),
    (CAT, "Instead of acetaminophen, use buprenorphine 0.02 mg/kg OTM."),
    (CAT, "The owner gave 250 mg of paracetamol two hours ago."),
    (CAT, "Acetaminophen can cause methaemoglobinaemia in cats."),
    (CAT, "Lilies are extremely toxic to cats."),
    (CAT, "Wait 10 minutes and check the gums again. He weighs 4 kg, eats 2.5 times a day."),
    (CAT, "A 4 kg cat that ate 80 mg took 20 mg/kg of acetaminophen."),
    (CAT, "The toxic dose of acetaminophen in cats is 10 mg/kg."),
    (CAT, "Acetaminophen must not be given to this cat."),
    (CAT, "Paracetamol is contraindicated in cats. It should not be given at any dose."),
    (CAT, "Ask your vet before giving paracetamol or any human drug."),
    (CAT, "Don't give paracetamol. It can destroy red blood cells. Take your cat to the vet."),
    (CAT, "A single 325 mg tablet of acetaminophen can be lethal to a cat."),
    (CAT, "Paracetamol is used in people for pain."),
    (CAT, "While dogs may be given paracetamol under supervision, cats must never have it."),
    (CAT, "Why not paracetamol? Because cats can't break it down."),
    (CAT, 'The leaflet says "give one tablet of paracetamol"; that is for people.'),
    (CAT, "Buprenorphine 0.02 mg/kg IM every 8 hours, e.g. for two days."),
    (CAT, "Acetaminophen toxicosis: acetylcysteine first, then supportive care."),
    (DOG, "Carprofen 4.4 mg/kg PO once daily, or 2.2 mg/kg twice daily."),
    (DOG, "Give 44 mg of carprofen by mouth once daily."),
    (DOG, "An overdose of carprofen, 44 mg/kg for example, damages the kidneys."),
    (DOG, "The dog received 44 mg/kg of carprofen by mistake yesterday."),
    (DOG, "Grapes and raisins are dangerous for dogs; no amount is known to be safe."),
    (DOG, "Keep chocolate and raisins out of reach."),
    (DOG, "Cats must never get ibuprofen."),
    (DOG, "Meloxicam 0.2 mg/kg on the first day, then 0.1 mg/kg once daily."),
    (COLLIE, "Ivermectin at mange doses must be avoided in Collies."),
    (COLLIE, "The labelled heartworm dose of ivermectin, 0.006 mg/kg once a month, is safe in Collies."),
    (RABBIT, "Inject penicillin only as the vet showed you."),
    (RABBIT, "Never use fipronil in rabbits."),
    (RABBIT, "Oral amoxicillin kills rabbits."),
    (HORSE, "Monensin is lethal to horses even in small amounts."),
    (HORSE, "Phenylbutazone 2.2 mg/kg PO twice daily."),
    (COW, "Chloramphenicol is banned in food animals."),
    (ON_STEROID, "Do not add carprofen while he is on prednisolone."),
    (DOG, "Loperamide 5 mg/m2 or 3 mL of meloxicam, or carprofen 2 mg/kg/h: none of it was computed."),
    (DOG, "Diazepam, ketoprofen and insulin 1 unit/animal need a weight."),
    (CAT, "Paracetamol is no drug for cats. Give it plenty of water."),
    (CAT, "She said: “give paracetamol”. We did not."),
    (DOG, "Baker's chocolate is the darkest kind."),
    (HORSE, "Trazodone 5 mg/kg has no record here."),
    (CAT, "The vet is in (chat with us): ibuprofen is dangerous, 5 mg/kg is not a pain."),
    (CAT, "Why not give ibuprofen? It is toxic."),
    (CAT, "Treat raisin and lily exposure as an emergency."),
    (CAT, "Signs of ibuprofen toxicity: vomiting, ulcers, kidney failure."),
    (CAT, "Did she get any human medicine such as ibuprofen or paracetamol?"),
    (CAT, "Bring the package of the paracetamol along."),
    (CAT, "Antidote to acetaminophen: N-acetylcysteine 140 mg/kg IV, then 70 mg/kg every 6 hours."),
    (CAT, "NSAIDs should be used with care in cats."),
    (CAT, "What dose of paracetamol did the cat get?"),
    (CAT, "This cat must not get naproxen or ibuprofen; buprenorphine 0.02 mg/kg is an option."),
    (CAT, "Wash off the permethrin with dish soap."),
    (CAT, "Buprenorphine is a good choice, unlike ibuprofen."),
    (CAT, "Start decontamination after ibuprofen ingestion."),
    (CAT, "Ibuprofen: do not use."),
    (CAT, "Nunca dé paracetamol a un gato."),
    (CAT, "Geben Sie Katzen niemals Paracetamol."),
    (CAT, "Lilies must be removed from the house."),
    (CAT, "Giving your cat acetaminophen would be dangerous."),
    (DOG, "His temperature is 39.5 °C (103.1 °F), pulse 120/min, CRT < 2 s; PCV 42 %."),
    (DOG, "Offer 10 mL/kg of water, then food: 1/4 cup, 3-4 times a day."),
    (DOG, "Dr. Smith, i.e. the surgeon, sees him at 10.30 on the 3rd."),
    (DOG, "Ich empfehle Ruhe. 建议休息。 Repos, s'il vous plaît.\n\n\n\t– fin"),
]  # fmt: skip


def facts(*patients: dict[str, Any], audience: str = "clinician", jurisdiction: str | None = None) -> Facts:
    """The facts of a request about these animals."""
    return Facts(audience=audience, jurisdiction=jurisdiction, language="en", patients=patients)  # type: ignore[arg-type]


def through(guard: SafetyGuard, text: str, size: int) -> str:
    """The text through the guard in pieces of `size`."""
    pieces = [guard.feed(text[place : place + size]) for place in range(0, len(text), size)]
    return "".join([*pieces, guard.finish()])


@pytest.mark.parametrize(("patient", "text", "rule"), UNSAFE, ids=[text[:50] for _, text, _ in UNSAFE])
@pytest.mark.parametrize("audience", ["clinician", "owner"])
def test_an_unsafe_sentence_never_goes_out(
    patient: dict[str, Any], text: str, rule: str, audience: str, records: Records
) -> None:
    """Replaced, with the rule, its source and a hash of what was withheld; the same for every chunking."""
    outcomes = set()
    for size in CHUNKINGS:
        guard = SafetyGuard(facts(patient, audience=audience), records, audience)
        outcomes.add((through(guard, text, size), tuple(row.rule for row in guard.interventions)))

    assert len(outcomes) == 1
    shown, rules = outcomes.pop()
    assert rules[0] == rule
    assert "[Withheld: " in shown
    row = guard.interventions[0]
    assert (row.severity, row.action) == ("absolute", "replaced")
    assert row.source["url"].startswith("http")
    assert row.withheld_sha256 is not None
    assert len(row.withheld_sha256) == 64


@pytest.mark.parametrize(("patient", "text"), SAFE, ids=[text[:50] for _, text in SAFE])
def test_a_safe_sentence_goes_out_as_it_is(patient: dict[str, Any], text: str, records: Records) -> None:
    """Warnings, histories, questions, quotations and other animals' drugs are left alone."""
    for size in CHUNKINGS:
        guard = SafetyGuard(facts(patient), records, "clinician")

        assert through(guard, text, size) == text
        assert guard.interventions == []


def test_what_follows_a_replaced_sentence_still_goes_out(records: Records) -> None:
    guard = SafetyGuard(facts(CAT), records, "clinician")

    shown = through(guard, "Rest is best.\nGive paracetamol 50 mg.\nKeep her warm. Call the vet.", 5)

    assert shown.startswith("Rest is best.\nGive — [Withheld: ")
    assert shown.endswith("]\nKeep her warm. Call the vet.")


def test_words_that_name_nothing_are_not_held_for_a_moment(records: Records) -> None:
    """Every piece that can't begin a hazard's name comes back from the very call that brought it."""
    guard = SafetyGuard(facts(CAT), records, "clinician")

    for piece in ("Keep", " him", " quiet", ",", " check", " his", " gums", ";", " see", " you", "!", " Bye", "\n"):
        assert guard.feed(piece) == piece
    assert guard.finish() == ""


def test_no_more_than_the_bound_is_ever_held(records: Records) -> None:
    guard = SafetyGuard(facts(CAT), records, "clinician")
    text = "Paracetamol is dangerous " + "and so is this very long thing " * 2_000
    out = ""
    worst = 0

    for place in range(0, len(text), 11):
        out += guard.feed(text[place : place + 11])
        worst = max(worst, place + 11 - len(out))

    assert worst <= HELD_BYTES_MAX + 16
    assert out + guard.finish() == text


def test_a_long_line_without_a_space_is_cut_at_the_bound(records: Records) -> None:
    text = "paracetamol-" + "x" * (HELD_BYTES_MAX * 2)
    shown = {through(SafetyGuard(facts(CAT), records, "clinician"), text, size) for size in (1, 1000, 10**9)}

    assert shown == {text}


def test_a_ban_of_one_country_holds_where_no_country_is_said(records: Records) -> None:
    """Oral meloxicam in cats: a boxed warning in the US, a label in the EU. A vet of no known country hears of both."""
    text = "Meloxicam 0.05 mg/kg PO once daily.\n"

    def shown(**said: str) -> str:
        return through(SafetyGuard(facts(CAT, **said), records, said.get("audience", "clinician")), text, 9)

    assert shown().startswith(text[:-1]) and "United States: " in shown() and "Elsewhere (" in shown()
    assert "[Withheld" in shown(jurisdiction="US")
    assert "[Withheld" in shown(audience="owner")
    assert shown(jurisdiction="EU") == text


TESTED = {"species": "dog", "weight_kg": 20, "breed": "Border Collie",
          "genotype": [{"gene": "MDR1", "result": "normal/normal"}]}  # fmt: skip
HEART = {"species": "cat", "weight_kg": 5, "conditions": ["hypertrophic cardiomyopathy"]}
KID = {"species": "dog", "weight_kg": 2, "age_months": 2}


@pytest.mark.parametrize(
    ("patient", "text", "rule"),
    [
        (HORSE, "Phenylbutazone 4.4 mg/kg can go deep into the muscle.",
         "phenylbutazone-beside-vein"),
        (HORSE, "Phenylbutazone 4.4 mg/kg IV slowly.", None),
        (HORSE, "Put the procaine penicillin into the jugular vein.",
         "penicillin-procaine-iv"),
        (HORSE, "Give potassium penicillin 22000 IU/kg IV every 6 hours.", None),
        (DOG, "Give DOCP 2.2 mg/kg IV.", "docp-iv"),
        (DOG, "Give glargine 2 units IV now.", "insulin-suspension-iv"),
        (DOG, "Even though he has not eaten, give the full dose of insulin.", "insulin-not-eating"),
        (DOG, "He has not eaten, so give half the dose of insulin and call us.", None),
        (DOG, "Insulin may be given once he has eaten.", None),
        (HEART, "Induce with ketamine 8 mg/kg IM.", "ketamine-hypertrophic-cardiomyopathy"),
        (HEART, "Ketamine 1 mg/kg IM can be added.", None),
        (CAT, "Ketamine 8 mg/kg IM is fine for a cat with hypertrophic cardiomyopathy.",
         "ketamine-hypertrophic-cardiomyopathy"),
        (CAT, "Metoclopramide 0.3 mg/kg SC is good despite the intestinal obstruction.", "metoclopramide-obstruction"),
        (CAT, "Give metoclopramide 0.3 mg/kg SC; it cannot cause an intestinal obstruction.", None),
        (KID, "Give oxytetracycline 20 mg/kg.", "tetracycline-young"),
        (HEART, "Atenolol 6.25 mg PO q12h may be used.", None),
        (CAT | {"conditions": ["heart failure"]}, "Atenolol 6.25 mg PO q12h is used.", "beta-blocker-heart-failure"),
        (CAT | {"conditions": ["not eating"]}, "Start a regular insulin CRI for the ketoacidosis.", None),
        (DOG, "Postoperatively, metoclopramide 1 mg/kg/day as a CRI despite the gastric torsion.", None),
        (DOG, "If the diarrhoea is watery but he is bright, it can wait until the morning.", None),
        (DOG, "Furosemide 20 mg/kg/day PO.", "dose-tenfold"),
        (DOG, "Give one Voltaren 50 mg tablet.", "diclofenac-dog-cat"),
        (DOG, "Diclofenac eye drops from your vet are fine.", None),
        (CAT, "Phenazopyridine 20 mg once a day is useful.", "phenazopyridine-cat"),
        (CAT, "Fill a syringe with 10 mL of liquid paraffin and squirt it in.", "mineral-oil-by-syringe"),
        (DOG, "Start metoclopramide at 1-2 mg/kg/d as a CRI.", None),
        (DOG, "Metoclopramide 20 mg/kg/day IV.", "dose-tenfold"),
        (DOG, "Morphine 5 mg, that is 0.1 mg/kg EPI.", None),
        (DOG, "Morphine 0.1 mg/kg, epi 1 mg/kg IV.", "dose-tenfold"),
        ({"species": "dog", "weight_kg": 20}, "Ivermectin 0.3 mg/kg PO daily.", "ivermectin-mdr1"),
        (TESTED, "Ivermectin 0.3 mg/kg PO daily.", None),
    ],
)  # fmt: skip
def test_route_illness_age_and_counter_drugs(
    records: Records, patient: dict[str, Any], text: str, rule: str | None
) -> None:
    """What harms by where it goes, or by the illness that sentence or patient has; and what only looks like it."""
    guard = SafetyGuard(facts(patient, jurisdiction="EU"), records, "clinician")
    through(guard, text, 7)

    assert [one.rule for one in guard.interventions] == ([] if rule is None else [rule])


def test_a_drug_for_nobody_in_particular_is_listed_as_not_checked(records: Records) -> None:
    guard = SafetyGuard(facts(), records, "clinician")

    assert through(guard, "Ibuprofen 10 mg/kg. Ibuprofen again.", 6) == "Ibuprofen 10 mg/kg. Ibuprofen again."
    assert guard.not_checked == [{"text": "ibuprofen", "why": "missing_species"}]


def test_a_dose_in_tablets_can_not_be_judged_without_a_weight(records: Records) -> None:
    guard = SafetyGuard(facts({"species": "cat"}), records, "clinician")
    text = "Give prednisolone 440 mg. Or gabapentin 5 L, or prednisolone 2 tablets, or methimazole 2 mg/kg."

    assert through(guard, text, 8) == text


def test_with_two_patients_the_one_that_must_not_have_it_counts(records: Records) -> None:
    guard = SafetyGuard(facts(DOG, CAT), records, "clinician")

    assert "[Withheld" in through(guard, "Give ibuprofen 10 mg/kg.", 4)


@pytest.mark.parametrize("order", [(24, 12), (12, 24)])
def test_a_limit_by_the_day_is_judged_anew_for_each_interval(order: tuple[int, int], records: Records) -> None:
    """5 mg/kg of itraconazole is the most a day for this parrot; what was judged before must not be carried over."""
    parrot = facts({"species": "african grey", "weight_kg": 0.42})
    for hours in order:
        guard = SafetyGuard(parrot, records, "clinician")
        through(guard, f"Give itraconazole 5 mg/kg by mouth every {hours} hours.", 10**9)

        assert [row.rule for row in guard.interventions] == ["itraconazole-african-grey"] * (hours == 12)


def test_a_guard_that_fails_raises_and_lets_nothing_out(records: Records) -> None:
    broken = replace(facts(CAT), patients=({"species": "cat", "weight_kg": "heavy"},))
    guard = SafetyGuard(broken, records, "clinician")

    with pytest.raises(ValueError, match="weight_kg"):
        through(guard, "Give paracetamol now.", 3)


@settings(max_examples=150, deadline=None)
@given(
    text=st.text(max_size=200)
    | st.lists(
        st.sampled_from(
            ["paracetamol", "give", "never", "cat", "10", "mg/kg", ".", "\n", " ", ", ", "it", "tablet", "1/2",
             "half a ", "Tylen", "ol", "don't", "?", "lilies", "|", "- ", ":", "e.g. ", "\ud800", "\0", "é", "猫",
             "扑热息痛", "0.", "5"]
        ),
        max_size=40,
    ).map("".join),
    cuts=st.lists(st.integers(1, 13), min_size=1, max_size=20),
)  # fmt: skip
def test_any_text_cut_anyhow_has_one_outcome(text: str, cuts: list[int], clinic: Clinic) -> None:
    """No exception, and the same words whether it comes whole, by characters or in odd pieces."""
    records = clinic.records
    whole = through(SafetyGuard(facts(CAT), records, "clinician"), text, 10**9)
    single = through(SafetyGuard(facts(CAT), records, "clinician"), text, 1)
    guard, place, odd = SafetyGuard(facts(CAT), records, "clinician"), 0, []
    for turn in range(len(text)):
        step = cuts[turn % len(cuts)]
        odd.append(guard.feed(text[place : place + step]))
        place += step
    assert whole == single == "".join([*odd, guard.finish()])


@settings(max_examples=100, deadline=None)
@given(text=st.text(alphabet=st.characters(blacklist_categories=("L", "N")), max_size=300))
def test_text_without_words_is_untouched(text: str, clinic: Clinic) -> None:
    assert through(SafetyGuard(facts(CAT), clinic.records, "clinician"), text, 3) == text


# -- rules and prompt --


def test_rules_of_a_conversation_come_gravest_first(records: Records) -> None:
    """Findings lead; then absolute rules on the drugs named; then what holds for the species anyway."""
    cat = normalise(PatientShape.model_validate(CAT), records)

    chosen = rules_for(
        [cat], ["meloxicam"], records, "US", "clinician", [{"rule": "meloxicam-cat-us-oral"}, {"rule": "x"}]
    )
    names = [rule.id for rule in chosen]

    assert names[0] == "meloxicam-cat-us-oral"
    assert "acetaminophen-cat" in names
    assert len(names) == len(set(names)) <= safety.RULES_MAX
    assert all(rule.source["url"] for rule in chosen)


def test_rules_without_a_drug_are_those_of_the_species(records: Records) -> None:
    cat = normalise(PatientShape.model_validate(CAT), records)

    names = {rule.id for rule in rules_for([cat], [], records, None, "owner")}

    assert {"acetaminophen-cat", "ibuprofen-cat", "permethrin-cat"} <= names
    assert rules_for([], [], records, None, "owner") == ()


def test_rules_of_an_unknown_animal_say_of_which_they_are(records: Records) -> None:
    """They are not left out, because a cat that nobody named as one must not get it either."""
    nobody, cat = (normalise(PatientShape.model_validate(one), records) for one in ({"weight_kg": 30}, CAT))

    unsaid = rules_for([nobody], ["acetaminophen", "enrofloxacin"], records, None, "clinician")
    said = rules_for([cat], ["acetaminophen"], records, None, "clinician")

    assert "If it is cat: Never give" in {rule.id: rule.text for rule in unsaid}["acetaminophen-cat"]
    assert [rule.id for rule in unsaid if rule.text.startswith("If it is sheep or goat or llama or alpaca and ")]
    assert {rule.id: rule.text for rule in said}["acetaminophen-cat"].startswith("Never give")


def test_rules_of_another_country_stay_out(records: Records) -> None:
    cow = normalise(PatientShape.model_validate(COW), records)

    american = {rule.id for rule in rules_for([cow], ["chloramphenicol"], records, "US", "clinician")}
    european = {rule.id for rule in rules_for([cow], ["chloramphenicol"], records, "EU", "clinician")}

    assert "chloramphenicol-food-us" in american - european
    assert "chloramphenicol-food-eu" in european - american


def test_the_prompt_begins_with_the_fixed_rules_whatever_the_facts(records: Records) -> None:
    prompts = load_prompts(ROOT)
    plain = render_prompt(facts(), prompts)
    dog = {"species": "dog", "neutered": True, "medications": [{"name": "x"}], "conditions": ["a", "b"]}
    row = {"substance": "s", "dose": None, "severity": "mild", "emesis": {"advised": "no"}, "actions": ["a"]}
    rich = render_prompt(
        replace(
            facts(dog, audience="owner"),
            language="es",
            jurisdiction="EU",
            triage=Triage("emergency", 0, "red", "Go now."),
            rules=(Rule("r", "absolute", "Never X.", {}),),
            needs=({"field": "weight", "why": "w", "ask": "Weight?"},),
            findings=({"severity": "high", "text": "F"},),
            exposures=(row,),
            doses=({"drug": "d", "doses": [{"route": "PO"}]},),
            not_checked=({"text": "zz", "why": "unknown_drug"}, {"text": "z", "why": "missing_age"}),
        ),
        prompts,
        has_pictures=True,
    )  # fmt: skip

    assert plain.startswith(prompts.vetx)
    assert rich.startswith(prompts.vetx)
    for line in ("[absolute] Never X.", "Go now.", "Weight?", "es", "EU", "s: amount not known", "zz: unknown_drug",
                 "neutered: yes", "medications: x", "conditions: a, b", prompts.vision, prompts.owner):  # fmt: skip
        assert line in rich
    assert "missing_age" not in rich
    assert "Doses" not in rich.replace(prompts.vetx, "")
    assert len(prompts.version) == 12


def test_doses_reach_a_clinicians_prompt_as_computed() -> None:
    row = {
        "route": "PO",
        "indication": "pain",
        "per_kg": {"min": 2, "max": 4, "unit": "mg/kg"},
        "frequency": "once a day",
        "amount": {"min": 20, "max": 20, "unit": "mg"},
    }
    shown = render_prompt(replace(facts(), doses=({"drug": "carprofen", "doses": [row]},)), load_prompts(ROOT))

    assert "carprofen, PO, pain, 2 to 4 mg/kg once a day, for this animal 20 mg" in shown


def test_a_missing_prompt_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "vetx.md").write_text(" \n")

    with pytest.raises(BadData, match="vetx"):
        load_prompts(tmp_path)


def whole(row: DoseRecord, weight_kg: Decimal) -> Decimal:
    """The most of one dose for this weight, in the finest unit; 0 where the unit can't be compared."""
    unit = row.dose.unit.split("/")
    if unit[0] in ("mL", "unit", "tsp") or row.basis == "per_m2":
        return Decimal(0)
    amount = units.convert(row.dose.max, unit[0], "ug") if unit[0].endswith("g") else row.dose.max
    assert amount is not None
    return amount * (weight_kg if row.basis == "per_kg" else 1)


def test_ten_times_any_recorded_dose_is_stopped_and_the_dose_itself_is_not(records: Records) -> None:
    """Each as a sentence: as it stands it passes; tenfold it doesn't.

    Unless another record of the species is near it, within three times: then it need not be a slip of the point.
    """
    weights = {"dog": 20, "cat": 4, "rabbit": 2, "horse": 500, "cattle": 600}
    for name, kind in records.species.items():
        weights.setdefault(name, float((kind.weight_kg.min * kind.weight_kg.max).sqrt()))
    wrong: list[str] = []
    for drug in records.drugs.values():
        rows = [row for row in drug.doses if row.status != "unverified" and row.dose_kind != "cri"]
        for row in rows:
            unit = row.dose.unit.split("/")
            if unit[0] in ("mL", "unit", "tsp") or row.basis == "per_m2":
                continue
            patient = {"species": row.species, "weight_kg": weights[row.species]}
            patient |= {"food_producing": False} if row.species in ("horse", "rabbit") else {}
            weight = Decimal(patient["weight_kg"])
            top = max(whole(other, weight) for other in rows if other.species == row.species)
            for times in (1, 10):
                per = "/kg" if row.basis == "per_kg" else ""
                day = "/day" if row.per == "day" else ""
                value = f"{row.dose.max * times:f} {units.spelt(unit[0])}{per}{day}"
                route = {"LOCAL": "by local infiltration", "EPI": "epidurally"}.get(row.route, row.route)
                text = f"Give {drug.generic} {value} {route} for this {row.species}."
                guard = SafetyGuard(facts(patient, jurisdiction=row.country or "EU"), records, "clinician")
                through(guard, text, 10**9)
                replaced = any(one.action == "replaced" for one in guard.interventions)
                if replaced != (times == 10) and not (times == 10 and whole(row, weight) * times <= top * 3):
                    wrong.append(text)
    assert wrong == []


def test_our_own_rules_and_advice_pass_the_guard(records: Records) -> None:
    """The prompt carries them and models copy them: warnings full of forbidden drugs, for every species."""
    texts = [
        (text, next(iter(rule.trigger.jurisdiction), None))
        for rule in records.rules
        for text in (rule.text, rule.owner_text, rule.mechanism)
        if text
    ]
    for toxin in records.toxins.values():
        texts += [(text, None) for text in (*toxin.actions, *toxin.owner_actions, *toxin.effects)]
        texts += [(row.effect, None) for row in (*toxin.thresholds, *toxin.no_thresholds)]
    texts += [(flag.reason, None) for flag in records.flags]
    touched = []
    for species, weight in (("dog", 20), ("cat", 4), ("rabbit", 2), ("horse", 500), ("cattle", 600)):
        for text, law in texts:
            guard = SafetyGuard(
                facts({"species": species, "weight_kg": weight}, jurisdiction=law), records, "clinician"
            )
            through(guard, text, 10**9)
            touched += [text for row in guard.interventions if row.action == "replaced"]
    assert len(set(touched)) <= len(texts) * 5 / 1000, touched


HIGH = "Deracoxib 2 mg/kg PO q24h can be given to this cat. "
WAITS = "A swollen belly with dry retching in a Great Dane can safely wait until Monday."


@pytest.mark.parametrize("size", [1, 7, 10**9])
def test_a_high_finding_is_marked_once_for_a_vet_and_replaced_for_an_owner(records: Records, size: int) -> None:
    vet, owner = (SafetyGuard(facts(CAT), records, audience) for audience in ("clinician", "owner"))
    said = through(vet, HIGH * 2, size)

    assert said.startswith(HIGH.rstrip() + " [Mark: ")
    assert said.count("[Mark: ") == 1
    assert said.count("can be given to this cat.") == 2
    assert [(row.action, row.severity, row.withheld_sha256) for row in vet.interventions] == [
        ("annotated", "high", None)
    ]
    assert "can be given" not in through(owner, HIGH, size)
    assert [row.action for row in owner.interventions] == ["replaced"]


SEIZES = "My dog is having a seizure right now"
FAINT = "My diabetic dog is unconscious"
HOT = "My dog has heat stroke"
BITTEN = "My dog was bitten by a snake"
BLOCKED = "My male cat has a blocked bladder and can't pee"
EPILEPTIC = "My dog has epilepsy, is on phenobarbital, the last seizure was in May"


@pytest.mark.parametrize(
    ("patient", "text", "rule"),
    [
        (CAT, "While aspirin relieves pain in humans, it can be toxic to cats.", None),
        (CAT, "Human aspirin is fine for her, half a tablet.", "aspirin-cat"),
        (DOG, "Give a dexamethasone salt, 0.2 mg/kg IV, with 20 mL/kg of 0.9% sodium chloride solution.", None),
        (CAT, "Diazepam by mouth has been associated with liver necrosis.", None),
        (HORSE, "Phenylbutazone beside the vein? Flush with 1000 mL of .9% saline.", None),
        (HORSE, "Penicillin G benzathine goes deep into the muscle.", "penicillin-benzathine-food-horse"),
        (CAT, "Aspirin may be considered for fever.", "aspirin-cat"),
        (DOG, "Calcium gluconate goes IV, or SC if there is no vein.", "calcium-gluconate-under-skin"),
        (DOG, "Calcium gluconate goes IV, never SC.", None),
        (DOG, "Insulin should not be skipped altogether though he has not eaten.", None),
    ],
)
def test_what_twenty_five_read_texts_showed(
    records: Records, patient: dict[str, Any], text: str, rule: str | None
) -> None:
    guard = SafetyGuard(facts(patient), records, "owner")
    through(guard, text, 7)

    assert [one.rule for one in guard.interventions] == ([] if rule is None else [rule])


def test_the_steps_of_a_harmful_act_are_stopped_and_the_way_to_the_vet_is_not(clinic: Clinic) -> None:
    steps = "Making him vomit with salt:\n1. Take two spoons of salt.\n2. Mix the salt with water.\n3. Rest.\n"
    made = clinic.guarded({"text": f"To make him vomit, give salt.\n{steps}", "patient": DOG, "audience": "owner"})
    fit = clinic.guarded({"text": "Give water. Take it to the vet.", "context": SEIZES, "audience": "owner"})

    assert "Mix the salt" not in made["corrected"]
    assert "3. Rest." in made["corrected"]
    assert fit["corrected"].endswith(" Take it to the vet.")


@pytest.mark.parametrize(
    ("context", "text", "rule"),
    [
        (SEIZES, "Give him water.", "nothing-by-mouth-unconscious"),
        (FAINT, "Pour a little honey into his mouth.", "nothing-by-mouth-unconscious"),
        ("", "While she is unconscious, syringe water into her mouth.", "nothing-by-mouth-unconscious"),
        (SEIZES, "Hold his tongue so he does not swallow it.", "no-hand-in-seizing-mouth"),
        (HOT, "Put him in an ice bath until he stops panting.", "no-ice-bath-in-heatstroke"),
        (BITTEN, "Cut across each fang mark and suck out the venom.", "snake-bite-no-cutting"),
        ("", "Gently pull the string until it comes out.", "hanging-string-not-pulled"),
        ("", "Remove the stick he is impaled on with a quick tug.", "impaled-object-left-in"),
        ("", "Push the eyeball back into the socket with a wet cloth.", "proptosed-eye-not-pushed"),
        (BLOCKED, "Squeeze his bladder firmly every few hours.", "blocked-bladder-not-pressed"),
        ("", "Geben Sie Salz, das Erbrechen kommt rasch.", "no-salt-to-make-vomit"),
        (EPILEPTIC, "You can stop the phenobarbital abruptly.", "no-sudden-end-of-treatment"),
        ("My horse has choke", "Run the garden hose into his mouth.", "choke-nothing-down-throat"),
        ("", "A smear of the pony's moxidectin gel will worm the dog.", "large-animal-wormer-dog-cat"),
        ("", "Give the cat a little of the sheep drench doramectin.", "large-animal-wormer-dog-cat"),
        ("", "Give the cat a little moxidectin sheep drench.", "large-animal-wormer-dog-cat"),
    ],
)
def test_acts_that_harm_are_stopped_whatever_drug_is_named(clinic: Clinic, context: str, text: str, rule: str) -> None:
    answer = clinic.guarded({"text": text, "context": context or "A pet", "audience": "owner"}, "EU")

    assert [row["rule"] for row in answer["findings"]] == [rule]
    assert answer["findings"][0]["source"]["url"].startswith("http")


@pytest.mark.parametrize(
    ("context", "text"),
    [
        (SEIZES, "Offer water once he is fully awake."),
        (SEIZES, "Keep your hands away from his mouth and tongue."),
        (SEIZES, "It is a myth that dogs swallow their tongue, so never pull it."),
        (FAINT, "Do not pour anything into his mouth."),
        (FAINT, "Rub a little honey on his gums, don't pour it into his mouth."),
        (HOT, "Use cool water, not ice water."),
        (HOT, "Pour cool water over him and put him in front of a fan."),
        (BITTEN, "Don't cut the wound, suck it or put on a tourniquet."),
        (BITTEN, "Cut short your walk and go to a vet now."),
        ("My cat has a string at her anus", "Don't pull the string, and don't cut it."),
        (BLOCKED, "Don't press on his bladder."),
        ("My dog ate rat bait", "Inducing vomiting with salt is dangerous."),
        ("My dog ate rat bait", "Signs of salt poisoning are vomiting and thirst."),
        (EPILEPTIC, "Phenobarbital must not be stopped abruptly."),
        (EPILEPTIC, "Give the phenobarbital with food, twice a day."),
        ("My horse has choke", "Take away food and water and call your vet."),
        ("My horse and my dog live together", "Keep the dog away when you worm the horse with moxidectin gel."),
        ("My dog has trouble breathing", "There is no need to call first: just go."),
        ("My dog has trouble breathing and has choke", "Give water when he is better."),
        (SEIZES, "Never do this:\n- Pull his tongue out\n- Put a spoon in his mouth\n"),
        (SEIZES, "Pulling his tongue out is not recommended."),
        ("My dog is on prednisone and my cat is well", "Your dog on prednisone must be weaned off it slowly."),
    ],
)
def test_right_first_aid_is_left_alone(clinic: Clinic, context: str, text: str) -> None:
    answer = clinic.guarded({"text": text, "context": context, "audience": "owner"}, "EU")

    assert answer["findings"] == []


def test_rules_on_acts_go_into_the_prompt_of_the_emergency_they_are_for(records: Records) -> None:
    seizing = normalise(PatientShape.model_validate({**DOG, "conditions": ["seizing"]}), records)
    well = normalise(PatientShape.model_validate(DOG), records)

    sent = {rule.id for rule in rules_for([seizing], [], records, None, "owner")}

    assert {"nothing-by-mouth-unconscious", "no-hand-in-seizing-mouth"} <= sent
    assert not any("mouth" in rule.id for rule in rules_for([well], [], records, None, "owner"))


@pytest.mark.parametrize(
    "words",
    ["{}; just wait two or three days.", "{}: no need to rush, call your vet tomorrow.", "{} is not an emergency.",
     "{} usually passes on its own, so watch him at home overnight.", "For {}, monitor at home for 24 hours first."],
)  # fmt: skip
def test_every_emergency_on_record_may_not_wait(clinic: Clinic, records: Records, words: str) -> None:
    """The sentence itself names the red flag; no conversation is known. Some deny themselves: `cannot stand`."""
    told = stopped = 0
    for flag in (one for one in records.flags if one.level == "emergency"):
        species = next((name for name in flag.species if name in records.species), "dog")
        for phrase in flag.phrases.get("en", ())[:2]:
            patient = {"species": species, **({"sex": flag.sex} if flag.sex else {})}
            answer = clinic.guarded({"patient": patient, "text": words.format(phrase), "audience": "owner"})
            told += 1
            stopped += bool(answer["findings"])

    assert stopped >= told * 0.85
    assert told > 100


@pytest.mark.parametrize(
    ("patient", "text", "rule"),
    [
        (CAT, "Make your cat vomit at home with a tablespoon of hydrogen peroxide.", "hydrogen-peroxide-cat"),
        ({"species": "horse", "weight_kg": 500}, "Make the horse vomit to relieve the stomach.", "emesis-impossible"),
        ({"species": "rabbit", "weight_kg": 2}, "Induce vomiting with warm water.", "emesis-impossible"),
        (DOG, "Make him vomit right away after the drain cleaner.", "emesis-contraindicated"),
        (DOG, WAITS, "emergency-delayed"),
        (DOG, "Use two tablespoons of table salt in water to make your dog vomit.", "no-salt-to-make-vomit"),
        (DOG, "After the tea tree oil you can wait and see.", "toxin-tea-tree-oil"),
        (DOG, "After the brodifacoum you can wait and see.", "toxin-anticoagulant-rodenticide"),
    ],
)
def test_advice_that_harms_without_a_drug_is_stopped_too(
    records: Records, patient: dict[str, Any], text: str, rule: str
) -> None:
    guard = SafetyGuard(facts(patient), records, "owner")

    assert "[Withheld" in through(guard, text, 5)
    assert [row.rule for row in guard.interventions] == [rule]


@pytest.mark.parametrize(
    ("patient", "text"),
    [
        ({"species": "horse", "weight_kg": 500}, "Never try to make a horse vomit."),
        (DOG, "Do not make him vomit after the drain cleaner; call now."),
        (DOG, "Your vet may induce vomiting within two hours."),
        (DOG, "A swollen belly with dry retching can't wait until Monday."),
        (DOG, "A mild limp can wait until Monday."),
        (DOG, "Watch her at home for a day if she eats and drinks."),
        (DOG, "The owner had given 400 mg of ibuprofen before presentation."),
        (CAT, "The dog permethrin in the cupboard stays there: it kills cats."),
        (CAT, "Enrofloxacin 5 mg/kg PO once daily; do not exceed this in cats."),
    ],
)
def test_the_same_words_as_a_warning_or_with_cause_pass(records: Records, patient: dict[str, Any], text: str) -> None:
    guard = SafetyGuard(facts(patient), records, "owner")

    assert through(guard, text, 5) == text


def test_an_emergency_of_the_conversation_may_not_be_told_to_wait(clinic: Clinic) -> None:
    """The sentence itself need not name the sign."""
    words = "My dog's belly is swollen and he retches without bringing anything up."
    told = clinic.facts_for(Ask(CALLER, "vetx-23", (Message("user", (Text(words),)),), audience="owner"))
    assert told.triage is not None and told.triage.level == "emergency"
    guard = SafetyGuard(told, clinic.records, "owner")

    assert "[Withheld" in through(guard, "You can wait and see how he is tomorrow.", 6)
    assert [row.rule for row in guard.interventions] == ["emergency-delayed"]


def test_the_prompt_tells_values_and_vital_signs_as_judged(clinic: Clinic) -> None:
    words = "Labrador 30kg, T 40.2, HR 90, glucose 45 mg/dL, K 8.1 mEq/L, ALT 60 U/L, zorblin 3"
    told = clinic.facts_for(Ask(CALLER, "vetx-23", (Message("user", (Text(words),)),)))
    prompt = clinic.render_prompt(told, False)

    assert "- Temperature 40.2 °C: above the 38 to 39.1 °C on record for the dog." in prompt
    assert "eart rate 90 /min" in prompt
    assert "- glucose 45 mg/dL: critically low (68 to 104 mg/dL)" in prompt
    assert "- potassium 8.1 mEq/L: critically high (4.1 to 5.4 mEq/L)" in prompt
    assert "- alt 60 U/L: normal (17 to 95 U/L)" in prompt
    assert "- potassium 7.5 mEq/L or more: Danger to the heart" in prompt


def test_a_pasted_sheet_is_told_among_the_values_and_not_as_a_picture(clinic: Clinic) -> None:
    words = "Dog, 12 kg:\nALT\t250\tU/L\t10 - 125\nK\t4\tmmol/L\t3.5 - 5.8\nCreatinine\t1.1\tmg/dL\t0.5 - 1.8"
    told = clinic.facts_for(Ask(CALLER, "vetx-23", (Message("user", (Text(words),)),)))
    prompt = clinic.render_prompt(told, False)

    assert [sheet["picture"] for sheet in told.sheets] == [None]
    assert prompt.count("- alt 250 U/L: ") == 1


def test_the_prompt_names_what_the_signs_may_be(clinic: Clinic) -> None:
    words = "my 9 y old cat drinks a lot, is losing weight and always hungry"
    told = clinic.facts_for(Ask(CALLER, "vetx-23", (Message("user", (Text(words),)),)))
    prompt = clinic.render_prompt(told, False)

    assert "must not be missed first; no diagnosis\n- diabetic ketoacidosis: " in prompt
    assert "- hyperthyroidism: weight loss; eating more; drinking more" in prompt


def test_a_yes_in_quotation_marks_answers_the_question_before_it(records: Records) -> None:
    guard = SafetyGuard(facts(CAT), records, "clinician")

    assert "[Withheld" in through(guard, 'Is paracetamol ok for cats? "Yes, go ahead."', 7)


@pytest.mark.parametrize(
    ("patient", "text", "rule"),
    [
        (DOG, "| Drug | Dose |\n|---|---|\n| Carprofen | 44 mg/kg |\n", "dose-tenfold"),
        (DOG, "Carprofen suits him. The dose is 44 mg/kg by mouth every 24 hours.", "dose-tenfold"),
        (DOG, "Drug: carprofen\n- Dose: 4.4 mg/kg\n- Route: by mouth\n- Frequency: every 4 hours\n", "dose-too-often"),
        (DOG, "Use dopamine. Run it at 90 mcg/kg/min from the start.", "dose-tenfold"),
        (DOG, "Carprofen 10 mg/kg PO q24h.", "dose-high"),
        (DOG, "Give forty-four milligrams of carprofen per kilogram a day.", "dose-tenfold"),
        (DOG, "Give two point five milligrams per kilogram of meloxicam.", "dose-tenfold"),
        (DOG, "Give one hundred and ten milligrams of carprofen per kilogram.", "dose-tenfold"),
        (DOG, "Give 1 mL/kg of meloxicam 1.5 mg/mL by mouth.", "dose-tenfold"),
        (DOG, "Doxorubicin 300 mg/m2 IV.", "dose-tenfold"),
        (CAT, "Administre buprenorfina 0,9 mg/kg IM cada 8 horas.", "dose-tenfold"),
        (DOG | {"medications": ["selegiline"]}, "Fluoxetine 1 mg/kg PO q24h can be added without a washout.",
         "ssri-maoi"),
        (DOG | {"medications": ["carprofen"]}, "You can add a regular aspirin on top of his Rimadyl.", "nsaid-nsaid"),
        (DOG, "| Food | For dogs? |\n|---|---|\n| Carrots | yes |\n| Raisins | yes, a few |\n", "toxin-grapes-raisins"),
        (CAT, "| Pain relief | For cats? |\n|---|---|\n| Ibuprofen | Yes |\n", "ibuprofen-cat"),
        (DOG, "Give carprofen 4.4 mg/kg by mouth six times a day.", "dose-too-often"),
        (DOG, "Run potassium chloride at 5 mEq/kg/h.", "dose-tenfold"),
        (DOG, "Give the potassium chloride as an undiluted IV bolus.", "potassium-chloride-never-bolus"),
        (ON_STEROID, "There is no need to stop the carprofen.", "nsaid-corticosteroid"),
        (DOG, "Doxorubicin 30 mg/m2 at a rate of 5 mg/kg/h, then carprofen 44 mg/kg.", "dose-tenfold"),
        (HORSE, "The monensin ration can also be fed to the horses.", "ionophore-horse"),
        (DOG | {"breed": "Great Dane", "age_months": 4}, "Enrofloxacin 5 mg/kg PO q24h has no effect on cartilage.",
         "fluoroquinolone-growing-dog"),
        (COLLIE, "Vincristine 0.7 mg/m2 IV needs no adjustment for this Collie.", "chemotherapy-mdr1"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 7, 10**9])
def test_a_wrong_dose_is_caught_wherever_it_stands(
    patient: dict[str, Any], text: str, rule: str, size: int, records: Records
) -> None:
    """In a table, in the next sentence or line, as a rate or a volume, spelled out, in Spanish, beside another drug."""
    guard = SafetyGuard(facts(patient, jurisdiction="EU"), records, "clinician")

    assert through(guard, text, size) != text
    assert guard.interventions[0].rule == rule


@pytest.mark.parametrize(
    ("patient", "text"),
    [
        (DOG, "Carprofen suits him. It comes as 100 mg tablets. A 900 g bag of food lasts a week."),
        (DOG, "Carprofen suits him. Zorblinumab 40 mg/kg has no record here."),
        (DOG, "Carprofen suits him. Dilute 20 g of sugar in 100 mL of water every morning."),
        (DOG, "Carprofen 4.4 mg/kg by mouth: for 10 kg that is 44 mg, one and three quarters of a 25 mg tablet."),
        (CAT, "El ibuprofeno y el paracetamol est\u00e1n contraindicados. Buprenorfina 0,02 mg/kg cada 8 horas."),
        (CAT, "| Medicine | Safe for cats? |\n|---|---|\n| Paracetamol | No, deadly |\n| Ibuprofen | No, toxic |\n"),
        (CAT, "You wrote that she swallowed one ibuprofen tablet of 400 mg. That is 100 mg/kg."),
        (DOG, "You wrote that he swallowed two carprofen tablets of 400 mg. That is 80 mg/kg."),
        (DOG, "Drug: carprofen\n- Dose: 4.4 mg/kg\n- Route: by mouth\n- Frequency: every 24 hours\n"),
        (DOG, "Use dopamine. Run it at 7 mcg/kg/min from the start."),
        (DOG, "Carprofen runs at 2 mg/kg/h in no record."),
        (CAT, "There is no need to give paracetamol."),
        (DOG, "Run potassium chloride at 0.3 mEq/kg/h, well mixed in the bag, never as a bolus."),
        (DOG, "Potassium chloride 0.5 mmol/kg/h IV, diluted."),
    ],
)
def test_figures_that_are_no_dose_of_that_drug_are_left_alone(
    patient: dict[str, Any], text: str, records: Records
) -> None:
    for size in CHUNKINGS:
        guard = SafetyGuard(facts(patient, jurisdiction="EU"), records, "clinician")

        assert through(guard, text, size) == text


CALLS = {
    "bloat": "My dog's belly is swollen and he retches without bringing anything up.",
    "gato": "Mi perro se comi\u00f3 un racimo de uvas hace una hora.",
    "Hund": "Mein Hund hat Schokolade und einen xylithaltigen Kaugummi gefressen.",
    "bait": "Our Beagle ate rat bait (brodifacoum) yesterday. He behaves normally, no bleeding.",
}


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("bloat", "It sounds like gas. Let him rest tonight."),
        ("bloat", "If it has not gone by tomorrow, book a visit next week. Call your vet tomorrow afternoon."),
        ("bait", "The bait clearly did not harm him."),
        ("bait", "He won't need treatment."),
        ("bait", "Just keep an eye on him at home for a few days."),
        ("bait", "Symptoms usually pass within a day."),
        ("gato", "No se preocupe, puede esperar."),
        ("Hund", "Sie m\u00fcssen nichts unternehmen."),
        ("bait", "Serious effects are very unlikely at this amount."),
    ],
)
def test_an_emergency_is_not_made_light_of_in_any_words(call: str, text: str, clinic: Clinic) -> None:
    told = clinic.facts_for(Ask(CALLER, "vetx-23", (Message("user", (Text(CALLS[call]),)),), audience="owner"))
    assert told.triage is not None and told.triage.level == "emergency"
    for size in CHUNKINGS:
        guard = SafetyGuard(told, clinic.records, "owner")

        assert "[Withheld" in through(guard, text, size)


@pytest.mark.parametrize(
    "text",
    [
        "Go to a vet now. Do not wait until tomorrow.",
        "This can't wait, even if he seems fine.",
        "Even though he looks fine now, the poison works for days.",
        "It is not true that this will pass: go now.",
        "Your brother told you that this is harmless, but that is wrong.",
        "Don't watch him at home; every hour counts.",
        "Is he still breathing normally? Keep him warm and calm on the way.",
        "With treatment most dogs recover.",
    ],
)
def test_urging_words_in_an_emergency_go_out_as_they_are(text: str, clinic: Clinic) -> None:
    told = clinic.facts_for(Ask(CALLER, "vetx-23", (Message("user", (Text(CALLS["bait"]),)),), audience="owner"))
    for size in CHUNKINGS:
        guard = SafetyGuard(told, clinic.records, "owner")

        assert through(guard, text, size) == text
        assert guard.interventions == []


def test_what_is_remembered_of_requests_stays_within_its_bounds(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand different animals take no more room than a few, and each is judged as itself."""
    judging._kept(records).cases.clear()
    monkeypatch.setattr(judging, "_CASES_MAX", 2)
    monkeypatch.setattr(judging, "_LIMITS_MAX", 1)
    for weight in range(10, 20):
        patient = {"species": "dog", "weight_kg": weight, "breed": "Collie"}
        guard = SafetyGuard(facts(patient, jurisdiction="EU"), records, "clinician")
        through(guard, f"Give carprofen {weight * 40} mg. Give meloxicam 0.1 mg/kg. Give ivermectin 0.3 mg/kg.", 9)
        through(guard, "Give it rest with anaemia. Give gabapentin 10 mg/kg with heart disease, despite anaemia.", 9)

        assert [row.rule for row in guard.interventions] == ["dose-tenfold", "ivermectin-mdr1"]
    assert len(judging._kept(records).cases) <= 2


def test_illnesses_that_sentences_name_are_judged_apart_beyond_what_is_remembered(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    judging._kept(records).cases.clear()
    monkeypatch.setattr(judging, "_LIMITS_MAX", 1)
    guard = SafetyGuard(facts(DOG), records, "clinician")
    through(
        guard,
        "A dog with kidney failure may get meloxicam 0.1 mg/kg.\n"
        "A dog with a gastric ulcer may get prednisolone 0.5 mg/kg.\n",
        9,
    )

    assert [row.rule for row in guard.interventions] == ["nsaid-kidney-disease", "corticosteroid-contraindicated"]


def test_breeds_that_sentences_name_are_judged_apart_beyond_what_is_remembered(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    judging._kept(records).cases.clear()
    monkeypatch.setattr(judging, "_LIMITS_MAX", 1)
    guard = SafetyGuard(facts({"species": "dog", "weight_kg": 20}), records, "clinician")
    through(
        guard,
        "For a Beagle ivermectin 0.006 mg/kg a month is right.\n"
        "For a Collie ivermectin 0.3 mg/kg PO daily is right.\n"
        "For a Beagle give maropitant 1 mg/kg SC.\n",
        9,
    )

    assert [row.rule for row in guard.interventions] == ["ivermectin-mdr1"]


@pytest.mark.parametrize("size", [1, 7, 10**9])
def test_what_does_no_harm_in_german_is_made_light_of(records: Records, size: int) -> None:
    told = facts({"species": "dog", "weight_kg": 20}, audience="owner")
    guard = SafetyGuard(told, records, "owner")
    through(guard, "Trauben schaden Ihrem Hund nicht. Holen Sie ihn.", size)
    assert [row.action for row in guard.interventions] == ["replaced"]

    guard = SafetyGuard(told, records, "owner")
    text = "Trauben schaden Ihrem Hund. Fahren Sie sofort."
    assert through(guard, text, size) == text


@pytest.mark.parametrize("size", [1, 7, 10**9])
def test_from_which_amount_on_signs_show_is_no_dose(records: Records, size: int) -> None:
    guard = SafetyGuard(facts({"species": "dog", "weight_kg": 20}), records, "clinician")
    text = "Dogs show signs above 44 mg/kg of carprofen. Keep him in."
    assert through(guard, text, size) == text
    assert guard.interventions == []


def test_raisins_that_only_upset_are_made_light_of(records: Records) -> None:
    guard = SafetyGuard(facts(DOG, audience="owner"), records, "owner")

    assert "[Withheld" in through(guard, "Raisins merely cause a mild upset in dogs.", 5)


@pytest.mark.parametrize(
    ("audience", "text", "changed"),
    [
        ("owner", "One Tylenol should do.", True),
        ("owner", "Imodium stops the runs: give one capsule.", True),
        ("owner", "Your vet may prescribe paracetamol for dogs.", False),
        ("owner", "Keep the Tylenol away from him.", False),
        ("owner", "A permethrin spot-on once a month keeps ticks away.", False),
        ("clinician", "Acetaminophen 10 mg/kg PO q12h is an option.", False),
    ],
)
def test_an_owner_is_not_sent_to_the_medicine_cupboard(
    audience: str, text: str, changed: bool, records: Records
) -> None:
    guard = SafetyGuard(facts(DOG, audience=audience), records, audience)

    assert ("[Withheld" in through(guard, text, 5)) == changed
