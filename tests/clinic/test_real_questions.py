"""Sixty questions as owners, nurses and vets put them, and what must and must not be in the built-in answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.base.messages import Ask, Audience, Caller, Message, Prompt, Text
from app.clinic import Clinic, open_clinic
from app.engines.wording import in_words

ROOT = Path(__file__).parents[2]
CALLER = Caller(1, 1, "x", frozenset(), frozenset(), "u", "account", "x")
EMERGENCY, URGENT, CONTRAINDICATED = "EMERGENCY", "URGENT", "CONTRAINDICATED, see the findings: "
NO_DOSES = "I give no doses of medicines"

# audience, question, what must be in the answer, what must not
ROWS: list[tuple[Audience, str, list[str], list[str]]] = [
    # small animal practice
    ("clinician", "Rimadyl dose 30kg Golden retriever", ["4.4 mg/kg x 30 kg = 132 mg"], ["lincomycin", EMERGENCY]),
    ("clinician", "meloxicam for a 12 kg dog, 1.5 mg/mL", ["PO: 0.1 mg/kg x 12 kg = 1.2 mg = 0.8 mL of 1.5 mg/mL"],
     ["SC: 0.2 mg/kg x 12 kg = 2.4 mg = 1.6 mL"]),
    ("clinician", "dog 12 kg carprofen 200 mg", ["dog, 12 kg", "16.67 mg/kg given", "Major"], ["carprofen 12 kg"]),
    ("clinician", "carprofen and prednisolone together 25kg boxer",
     [CONTRAINDICATED + "carprofen with prednisolone", "No dose of carprofen that I may show"],
     ["Do not give a corticosteroid to an animal on an NSAID"]),
    ("clinician", "is metacam safe with prednisone for 20kg dog", [CONTRAINDICATED + "meloxicam with prednisolone"],
     ["Doses of prednisolone"]),
    ("clinician", "collie 25 kg ivermectin dose for mange", [CONTRAINDICATED + "ivermectin", "Collie, 25 kg"],
     ["already on", "ivermectin 25 kg"]),
    ("clinician", "collie loperamide for diarrhea 20kg", [CONTRAINDICATED + "loperamide"], ["in a rabbit"]),
    ("clinician", "boxer 30kg acepromazine premed dose", ["Boxers", "may faint"], ["flunixin"]),
    ("clinician", "cat with kidney disease meloxicam 4 kg", [CONTRAINDICATED + "meloxicam", "kidney disease"],
     ["this cat has already had meloxicam"]),
    ("clinician", "meloxicam 1.5mg/ml for cat 4.2kg how many ml?", ["boxed warning"], ["0.84 mL"]),
    ("clinician", "pregnant dog doxycycline 20 kg", ["NOT ADVISED", "pregnant"], ["Could she be pregnant"]),
    ("clinician", "8 week old puppy 3kg enrofloxacin", ["NOT ADVISED", "growing dogs"], ["How old is it"]),
    ("clinician", "male dog 30 kg carprofen 100 mg bid, 8 yo, neutered", ["6.667 mg/kg a day given"],
     ["pregnant", "milk?", "How old"]),
    ("clinician", "dog on phenobarbital 30kg tramadol dose", ["already on “phenobarbital”", "Doses of tramadol"],
     ["Doses of phenobarbital", "“tramadol”"]),
    ("clinician", "my dog got two carprofen 100 mg tablets, 20 kg", ["10 mg/kg given"], ["How many mg is one"]),
    ("clinician", "cat 5 kg propofol dose", ["8 to 13.2 mg/kg x 5 kg"], ["Mind for this animal"]),
    ("clinician", "my cat is on prednisolone, what dose of meloxicam for my dog?", ["dog: Doses of meloxicam"],
     ["CONTRAINDICATED"]),
    ("clinician", "Is benadryl ok for my 12 lb dog", ["5.443 kg", "diphenhydramine"], ["CONTRAINDICATED"]),
    # equine
    ("clinician", "horse 500kg flunixin dose iv?", ["1.1 mg/kg x 500 kg = 550 mg", "Withdrawal"],
     ["flunixin 500 kg", "NOT ADVISED"]),
    ("clinician", "1100lb horse banamine 10 ml iv twice a day with bute 2 g",
     [CONTRAINDICATED + "flunixin with phenylbutazone", "499 kg"], ["2 g, 499"]),
    ("clinician", "donkey ivermectin paste dose 180kg",
     ["No dose of ivermectin is on record for this animal"], ["Collie", "36 mg"]),
    ("clinician", "my horse got into the cattle feed with rumensin", [EMERGENCY, "monensin"], ["already on"]),
    ("clinician", "mare 600 kg xylazine and detomidine combo?",
     ["20 to 40 mcg/kg x 600 kg = 12 to 24 mg", "660 mg"], ["12000"]),
    ("owner", "horse rolling pawing", [EMERGENCY, "colic"], ["lincomycin"]),
    ("owner", "mare foaling 40 minutes no foal", [EMERGENCY], ["Routine"]),
    ("clinician", "bute dose for a 450 kg gelding with laminitis", [EMERGENCY, "450 kg", "at most 4000 mg"], []),
    # cattle
    ("clinician", "dairy cow phenylbutazone?", ["prohibited"], ["Doses of phenylbutazone"]),
    ("clinician", "enrofloxacin for a 300 kg beef steer withdrawl", ["Only within its limit", "2250 to 3750 mg"],
     ["CONTRAINDICATED"]),
    ("clinician", "ceftiofur dose calf 80 kg", ["1.1 to 2.2 mg/kg x 80 kg = 88 to 176 mg", "Withdrawal"], []),
    ("clinician", "oxytetracycline 20 mg/kg for 500 kg cow how many ml of 200 mg/ml", ["49.5 mL of 200 mg/mL"], []),
    ("clinician", "lactating cow 650kg mastitis which antibiotic, flunixin withdrawal milk?", ["milk 36 hours"], []),
    ("owner", "cow won't get up, calved yesterday", [EMERGENCY], [NO_DOSES]),
    ("owner", "cow left side blown up", [EMERGENCY], ["Routine"]),
    # rabbit and exotic
    ("clinician", "rabbit 900g meloxicam dose", ["rabbit, 0.9 kg", "0.27 to 0.54 mg"], ["meloxicam 900"]),
    ("clinician", "amoxicillin for my rabbit 2 kg", [CONTRAINDICATED + "amoxicillin"], ["Doses of amoxicillin"]),
    ("clinician", "frontline for my bunny?", [CONTRAINDICATED + "fipronil"], []),
    ("owner", "bunny isnt eating since last night", [EMERGENCY], ["Routine", "lincomycin"]),
    ("owner", "bunny fell and can't use back legs", [EMERGENCY], ["lincomycin"]),
    ("clinician", "enrofloxacin for my hen 2 kg, eggs", [CONTRAINDICATED + "enrofloxacin", "female chicken, 2 kg"],
     ["mg/kg x", "no animal of this kind"]),
    ("clinician", "ball python meloxicam", ["No dose of meloxicam is on record for this animal"], ["mg/kg x"]),
    ("clinician", "can i use metronidazole in a milk goat", ["bans nitroimidazoles"], ["mg/kg"]),
    # emergency
    ("clinician", "dog 20kg epinephrine CPR dose", ["0.01 mg/kg x 20 kg = 0.2 mg = 0.2 mL of 1 mg/mL; every 3 to 5"],
     ["0.05", "with cpr"]),
    ("clinician", "my 10 lb chihuahua ate a whole bar of dark chocolate", [EMERGENCY, "4.536 kg"],
     ["deaths occur below it,"]),
    ("clinician", "my lab is 70 pounds and ate half a bag of grapes", [EMERGENCY, "grapes and raisins"],
     ["rapes raisins", "Mind for this animal"]),
    ("clinician", "my dog swallowed 3 pieces of xylitol gum, weighs 5kg", [EMERGENCY, "600 mg/kg", "3 pieces"], []),
    ("clinician", "cat permethrin spot on applied by mistake, tremors 4kg", [EMERGENCY, "methocarbamol"],
     ["already on"]),
    ("clinician", "my dog and cat both licked antifreeze", [EMERGENCY, "dog: Antifreeze", "cat: Antifreeze"], []),
    ("clinician", "dog ate 1/2 tube of 5-fluorouracil",
     [EMERGENCY, "5-fluorouracil cream: life-threatening"], ["Routine"]),
    ("owner", "hit by a car but seems fine, labrador 30 kg", [EMERGENCY, "Even if it looks better"], ["Never give"]),
    ("owner", "my dog ate rat poison don't know which", [EMERGENCY, "not being known"], ["by the amount given"]),
    ("owner", "my puppy 8 weeks old has bloody diarrhoea and vomiting", [EMERGENCY], ["How old"]),
    ("owner", "cat crying in litter tray nothing comes out", [EMERGENCY], ["Routine"]),
    # telehealth
    ("owner", "my cat squints and her eye is red", [EMERGENCY], ["acetaminophen", "paracetamol"]),
    ("owner", "can i give my dog paracetamol 500 mg he is 20 kg", [NO_DOSES, "Do not give your dog paracetamol"],
     ["below the range"]),
    ("owner", "how much aspirin can i give my 60 lb dog for arthritis", [NO_DOSES], ["Which strength", "mg/kg x"]),
    ("owner", "my cat ate tuna and my dog ate grapes", [EMERGENCY, "dog: Grapes and raisins"], ["cat: Grapes"]),
    ("owner", "mi gata 4kg comió un lirio", ["URGENCIA", "cat, 4 kg"], ["male"]),
    ("owner", "mon chat 4 kg a avalé un doliprane 500 mg", ["URGENCE", "125 mg/kg"], []),
    ("owner", "mein hund 8 kg hat 100 g zartbitterschokolade gefressen", ["NOTFALL", "70 mg/kg"], []),
    ("owner", "meu cachorro 10kg comeu uvas", ["EMERGÊNCIA", "grapes and raisins"], []),
    ("owner", "我的猫4公斤吃了百合花", ["紧急", "cat, 4 kg"], []),
    ("owner", "is chicken ok for my dog", ["dog"], ["no animal of this kind", EMERGENCY]),
]  # fmt: skip


@pytest.fixture(scope="module")
def shipped() -> Clinic:
    return open_clinic(ROOT)


@pytest.mark.parametrize(("audience", "question", "said", "unsaid"), ROWS, ids=[row[1][:48] for row in ROWS])
def test_the_answer_says_what_it_must_and_nothing_it_must_not(
    audience: Audience, question: str, said: list[str], unsaid: list[str], shipped: Clinic
) -> None:
    ask = Ask(CALLER, "vetx-23", (Message("user", (Text(question),)),), audience=audience)
    facts = shipped.facts_for(ask)

    answer = in_words(Prompt("vetx-23", "vetx-23", "", ask.messages, facts, 1000)).split("\n\nSources:")[0]

    assert [words for words in said if words not in answer] == []
    assert [words for words in unsaid if words in answer] == []
