"""The demo model that quickstart serves: the whole path with a model that chats."""
import pathlib
import unittest

from services import GENERATE, Services, run, text_of

REPOSITORY = pathlib.Path(__file__).parents[2]
DEMO_MODEL = REPOSITORY / "deploy" / "demo_model"
# The console's fixed prompts, in the words of clients/console/menu.cc: system prompt (None: a completion) and prompt.
MENU = [(None, "Hello, my name is"), ("You are Einstein", "Describe your theory."),
        ("Answer in 20 words, directly, and without an introduction", "Can you explain what is Theory of relativity?"),
        ("You are a pirate", "Explain what is quantum computer in 20 words."),
        ("Always answer with emojis", "How to go from Beijing to NY?"), ("Answer with only one emoji", "What is the flag of Turkey?")]


def chat(*messages, system=""):
    """A prompt of user and assistant in turn."""
    roles = ["ROLE_USER", "ROLE_ASSISTANT"] * len(messages)
    first = [{"role": "ROLE_SYSTEM", "content": system}] if system else []
    return {"chat": {"messages": first + [{"role": r, "content": c} for r, c in zip(roles, messages)]}}


def further_prompts():
    """(system prompt or None, prompt) of the file that the console's menu shows."""
    for line in (DEMO_MODEL / "prompts").read_text().splitlines():
        kind, *fields = line.split("\t")
        if kind == "chat":
            yield tuple(fields)
        elif kind == "completion":
            yield None, fields[0]


def has_letters(text):
    return any(c.isascii() and c.isalpha() for c in text)


class DemoModelTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.services = Services(DEMO_MODEL)
        cls.addClassCleanup(cls.services.__exit__)
        for service in (cls.services.tokenizer, cls.services.model, cls.services.gateway):
            service.wait_until_ready()
        cls.client = cls.services.client()

    def test_the_context_is_what_the_model_was_made_for(self):
        info = self.client.unary("llama.v1.GatewayService/GetInfo")
        self.assertEqual(int(info["model"]["context_length"]), 512)

    def events(self, prompt, max_tokens=120, **request):
        return list(self.client.dicts(GENERATE, {"prompt": prompt, "stopping": {"max_tokens": max_tokens}, **request}))

    def reply(self, prompt, max_tokens=120):
        """The greedy reply, which must end by itself."""
        events = self.events(prompt, max_tokens)
        self.assertEqual(events[-1]["finished"]["reason"], "FINISH_REASON_EOS", text_of(events))
        return text_of(events).strip()

    def reply_to(self, system, prompt, max_tokens=120):
        return self.reply({"text": prompt} if system is None else chat(prompt, system=system), max_tokens)

    def test_the_consoles_fixed_prompts_are_answered_and_end(self):
        hello, einstein, twenty, pirate, route, flag = (self.reply_to(*item) for item in MENU)
        self.assertGreater(len(hello.split()), 3)
        self.assertIn("relativity", einstein)
        self.assertEqual(len(twenty.split()), 20, twenty)
        self.assertIn("relativity", twenty)
        self.assertEqual(len(pirate.split()), 20, pirate)
        self.assertRegex(pirate, "^(Arr|Ahoy)")
        self.assertIn("quantum computer", pirate)
        self.assertFalse(has_letters(route), route)
        self.assertIn("✈️", route)
        self.assertEqual(flag, "🇹🇷")

    def test_the_further_prompts_of_the_menu_are_answered_within_the_consoles_limit(self):
        prompts = list(further_prompts())
        self.assertGreaterEqual(len(prompts), 3)
        for system, prompt in prompts:
            self.assertTrue(self.reply_to(system, prompt, 170))

    def test_the_menu_shows_them_behind_the_fixed_ones(self):
        console = run("lnb-console", f"--gateway={self.services.gateway.address}", f"--prompts={DEMO_MODEL / 'prompts'}",
                      input="q\n")
        self.assertEqual(console.returncode, 0, console.stderr)
        last = 8 + len(list(further_prompts()))
        self.assertIn(f"choose 0 to {last} ", console.stdout)
        for system, prompt in MENU + list(further_prompts()):
            self.assertIn(f"Prompt: {prompt}\n", console.stdout)
            if system:
                self.assertIn(f"System Prompt: {system}\n", console.stdout)

    def test_emoji_arrive_as_byte_tokens(self):
        events = self.events(chat(MENU[5][1], system=MENU[5][0]), output={"tokens": True})
        spellings = [token["spelling"] for event in events for token in event.get("delta", {}).get("tokens", [])]
        self.assertEqual([s for s in spellings if s != "▁"],
                         ["<0xF0>", "<0x9F>", "<0x87>", "<0xB9>", "<0xF0>", "<0x9F>", "<0x87>", "<0xB7>"])

    def test_a_later_turn_refers_to_an_earlier_one(self):
        first = self.reply(chat("What is the capital of France?"))
        self.assertIn("Paris", first)
        self.assertIn("🇫🇷", self.reply(chat("What is the capital of France?", first, "And its flag?")))
        hello = self.reply(chat("My name is Clara."))
        self.assertIn("Clara", self.reply(chat("My name is Clara.", hello, "What is my name?")))

    def test_the_system_prompt_holds_for_later_turns(self):
        first = self.reply(chat("What is a whale?", system="Always answer with emojis"))
        self.assertFalse(has_letters(self.reply(chat("What is a whale?", first, "Thank you!", system="Always answer with emojis"))))

    def test_once_upon_a_time_begins_a_story(self):
        for prompt in (chat("Once upon a time"), {"text": "Once upon a time"}):
            self.assertGreater(len(self.reply(prompt, 250).split()), 60)

    def test_what_it_was_not_taught_it_does_not_know(self):
        self.assertIn("I do not know", self.reply(chat("What is the phone number of a glacier?")))


if __name__ == "__main__":
    unittest.main()
