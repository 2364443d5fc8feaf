"""Opposites, colours, the sounds of animals, and sums."""
from questions import Question, capital
from styles import Answer

_OPPOSITES = """hot cold, big small, day night, old young, fast slow, high low, good bad, happy sad, rich poor, light
dark, wet dry, hard soft, full empty, early late, long short, loud quiet, strong weak, open closed, near far, up down,
left right, black white, first last, clean dirty, sweet bitter, thick thin, deep shallow, war peace, love hate, winter
summer, north south, east west, yes no, true false"""
_COLOURS = """grass green 🌿, blood red 🩸, snow white ❄️, coal black ⚫, the sky blue 🔵, a lemon yellow 🍋, a carrot
orange 🥕, a frog green 🐸, milk white 🥛, a tomato red 🍅, the sea blue 🌊, a banana yellow 🍌, an orange orange 🍊, a pig
pink 🐷, a fox orange 🦊, chocolate brown 🍫, gold yellow 🟡, a rose red 🌹, the night black 🌃, an elephant grey 🐘, a bear
brown 🐻, a cherry red 🍒, a plum purple 🟣, sand yellow 🏖️"""
_SOUNDS = """cow moo 🐄, dog woof 🐶, cat meow 🐱, sheep baa 🐑, duck quack 🦆, pig oink 🐷, lion roar 🦁, bee buzz 🐝, snake
hiss 🐍, frog ribbit 🐸, owl hoot 🦉, horse neigh 🐴, mouse squeak 🐭, rooster cock-a-doodle-doo 🐓, wolf howl 🐺, crow caw
🐦‍⬛, goat maa 🐐, turkey gobble 🦃"""
NUMBERS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen twenty""".split()


def keycaps(number):
    return "".join(digit + "\ufe0f\u20e3" for digit in str(number))


def small_facts():
    """A question for each."""
    result = []
    for pair in _OPPOSITES.replace("\n", " ").split(", "):
        for a, b in (pair.split(), pair.split()[::-1]):
            result.append(Question(f"opposite of {a}", [
                f"What is the opposite of {a}?", f"What's the opposite of {a}?", f"Name the opposite of {a}.",
                f"opposite of {a}"],
                Answer([f"The opposite of {a} is {b}.", "Every child learns this early.",
                        "Some words come in pairs like this.",
                        "You can turn many words around."], b, b.capitalize(), "↔️", "↔️", 1)))
    for entry in _COLOURS.replace("\n", " ").split(", "):
        name, colour, emoji = entry.rsplit(" ", 2)
        result.append(Question(f"colour of {name}", [
            f"What colour is {name}?", f"What color is {name}?", f"Which colour has {name}?",
            f"What is the colour of {name}?"],
            Answer([f"{capital(name)} is {colour}.", "You can see it with your own eyes.",
                    "Colours come from the light.",
                    "Not every day is so bright."], colour, colour.capitalize(), emoji, emoji, 1)))
    for entry in _SOUNDS.replace("\n", " ").split(", "):
        name, sound, emoji = entry.split(" ")
        result.append(Question(f"sound of {name}", [
            f"What does a {name} say?", f"What sound does a {name} make?", f"How does a {name} sound?",
            f"What does the {name} say?"],
            Answer([f"The {name} says {sound}.", "You can hear it on a farm or in the wild.",
                    "Every animal has a voice of its own.",
                    "Listen well."], sound, sound.capitalize(), f"{emoji}🔊", emoji, 1)))
    for a in range(11):
        for b in range(11):
            total = NUMBERS[a + b]
            result.append(Question(f"sum of {a} and {b}", [
                f"What is {a} plus {b}?", f"What is {a} + {b}?", f"{a} + {b} = ?", f"How much is {a} and {b}?",
                f"What is {NUMBERS[a]} plus {NUMBERS[b]}?", f"Add {a} and {b}."],
                Answer([f"{capital(NUMBERS[a])} plus {NUMBERS[b]} is {total}.", "You can count it with your fingers.",
                        "Sums are fun.",
                        "Numbers never lie."], total, total.capitalize(), keycaps(a + b), keycaps(a + b), 1)))
    return result


SMALL_FACTS = small_facts()
