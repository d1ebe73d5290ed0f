// What threads.py is to the scripts in Python: many sessions of several turns at the same time, and who answered them.

import assert from "node:assert/strict";

export const TURNS = 4;
const SESSIONS = 12;
const AT_A_TIME = 4;
// How a fake cloud begins every answer: its own name, and the turn within whatever it was asked to go on with.
const SAID = /^(\S+) turn (\d+)/;

/** Which cloud answered how often, over all stories of a script. */
export class Book {
  clouds = new Map();
  stories = [];

  /** Runs the story once a session, several at a time, and lets its first failure out. */
  async tell(story) {
    let next = 0;
    const teller = async () => {
      while (next < SESSIONS) await story(next++);
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, teller));
    this.stories.push(story.name);
  }

  thread() {
    return new Thread(this);
  }

  heard(text) {
    const said = SAID.exec(text);
    assert(said, `no fake cloud begins its answer like this: ${JSON.stringify(text)}`);
    this.clouds.set(said[1], (this.clouds.get(said[1]) ?? 0) + 1);
    return [said[1], Number(said[2])];
  }

  /** One line; with a single cloud, nothing could have gone astray. */
  close(name, version) {
    const clouds = [...this.clouds].sort();
    assert(clouds.length > 1, `all went to ${clouds}: nothing is shown`);
    const who = clouds.map(([cloud, count]) => `${cloud} ${count}`).join(", ");
    console.log(`${name} ${version}: ${SESSIONS} times ${this.stories.join(", ")}; answered by ${who}`);
  }
}

/** One session: the same cloud answers each of its turns, and counts them. */
class Thread {
  #book;
  #cloud = null;
  #turn = 0;

  constructor(book) {
    this.#book = book;
  }

  /** The next turn. */
  turnIs(text) {
    const [cloud, turn] = this.#book.heard(text);
    this.#turn += 1;
    assert.equal(turn, this.#turn, `turn ${this.#turn} was answered as turn ${turn} by ${cloud}, the last by ${this.#cloud}`);
    this.#same(cloud);
  }

  /** A turn of which the cloud knows only what the client brought, and opens: it counts none. */
  sealed(text) {
    this.#same(this.#book.heard(text)[0]);
  }

  #same(cloud) {
    this.#cloud ??= cloud;
    assert.equal(cloud, this.#cloud, `begun by ${this.#cloud}, answered by ${cloud}`);
  }
}
