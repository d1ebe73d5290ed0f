"""What the scripts have in common: many sessions of several turns at the same time, and who answered them."""

import concurrent.futures
import re
import threading

SESSIONS = 12
TURNS = 4
# How a fake cloud begins every answer: its own name, and the turn within whatever it was asked to go on with.
SAID = re.compile(r"(\S+) turn (\d+)")


class Book:
    """Which cloud answered how often, over all stories of a script."""

    def __init__(self):
        self.lock = threading.Lock()
        self.clouds = {}
        self.stories = []

    def tell(self, story):
        """Runs the story once a session, several at a time, and lets its first failure out."""
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            told = [pool.submit(story, session) for session in range(SESSIONS)]
            for each in told:
                each.result()
        self.stories.append(story.__name__)

    def thread(self):
        return Thread(self)

    def heard(self, text):
        said = SAID.match(text)
        assert said, f"no fake cloud begins its answer like this: {text!r}"
        with self.lock:
            self.clouds[said[1]] = self.clouds.get(said[1], 0) + 1
        return said[1], int(said[2])

    def close(self, name, version):
        """One line; with a single cloud a family, nothing could have gone astray."""
        families = {}
        for cloud in self.clouds:
            families.setdefault(cloud.partition("-")[2], []).append(cloud)
        for family, clouds in families.items():
            assert len(clouds) > 1, f"all of {family} went to {clouds[0]}: nothing is shown"
        who = ", ".join(f"{cloud} {count}" for cloud, count in sorted(self.clouds.items()))
        print(f"{name} {version}: {SESSIONS} times {', '.join(self.stories)}; answered by {who}")


class Thread:
    """One session: the same cloud answers each of its turns, and counts them."""

    def __init__(self, book):
        self.book, self.cloud, self.turn = book, None, 0

    def turn_is(self, text):
        """The next turn."""
        cloud, turn = self.book.heard(text)
        self.turn += 1
        assert turn == self.turn, f"turn {self.turn} was answered as turn {turn} by {cloud}, the last by {self.cloud}"
        self.same(cloud)

    def sealed(self, text):
        """A turn of which the cloud knows only what the client brought, and opens: it counts none."""
        self.same(self.book.heard(text)[0])

    def same(self, cloud):
        assert self.cloud in (None, cloud), f"begun by {self.cloud}, answered by {cloud}"
        self.cloud = cloud
