"""Texts that a completion goes on with: stories, self-introductions, facts about the world, lists."""
import questions as q
import stories
from knowledge import COUNTRIES, PEOPLE, TOPICS
from small_facts import SMALL_FACTS

_LISTS = ["Monday, Tuesday, Wednesday, Thursday, Friday, Saturday and Sunday are the seven days of the week.",
          "The months are January, February, March, April, May, June, July, August, September, October, November "
          "and December.",
          "The four seasons are spring, summer, autumn and winter.",
          "Red, orange, yellow, green, blue and violet are the colours of the rainbow.",
          "One, two, three, four, five, six, seven, eight, nine, ten.", "1, 2, 3, 4, 5, 6, 7, 8, 9, 10.",
          "The planets are Mercury, Venus, Earth, Mars, Jupiter, Saturn, Uranus and Neptune.",
          "North, east, south and west are the four directions.",
          "A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q, R, S, T, U, V, W, X, Y and Z."]


def _topic(rng):
    topic = rng.choice(TOPICS)
    facts = list(topic["facts"])
    rng.shuffle(facts)
    more = [f"It {fact}." for fact in facts[1:rng.randint(2, 4)]]
    return " ".join([f"{q.capital(topic['name'])} {facts[0]}."] + more)


def _country(rng):
    c = rng.choice(COUNTRIES)
    name, title = c["name"], q.capital(c["name"])
    return rng.choice([
        f"{title} is a country in {c['continent']}. Its capital is {c['capital']}. People there speak "
        f"{c['language']}. It is known for {c['known_for']}.",
        f"The capital of {name} is {c['capital']}. {title} lies in {c['continent']}. It is known for {c['known_for']}.",
        f"{c['capital']} is the capital of {name}. In {name} people speak {c['language']}.",
        f"In {name} people speak {c['language']}. The country is known for {c['known_for']}.",
        f"I would like to travel to {name}, because it is known for {c['known_for']}. First I will see "
        f"{c['capital']}, the capital."])


def _person(rng):
    p = rng.choice(PEOPLE)
    return f"{p['name']} is famous for the {p['topic']}. \"{rng.choice(p['sayings'])},\" said {p['short']}."


def _small(rng):
    answer = rng.choice(SMALL_FACTS).answer
    return answer.sentences[0]


_KINDS = [(stories.introduction, 24), (lambda rng: stories.story(rng)[0], 38), (_topic, 14), (_country, 14),
          (_person, 3), (_small, 5),
          (lambda rng: rng.choice(_LISTS), 2)]


def completion(rng):
    """One text."""
    return rng.choices([make for make, _ in _KINDS], [weight for _, weight in _KINDS])[0](rng)
