"""`anthropic` through Riparian: base_url changed, nothing else.

    anthropic_sdk.py URL STORE
"""

import sys

import anthropic
from anthropic import Anthropic

from threads import TURNS, Book

MODEL = "claude-sonnet-5"
book = Book()
client = Anthropic(base_url=sys.argv[1], api_key="sk-ant-of-the-client", max_retries=0)
CODE = [{"type": "code_execution_20250825", "name": "code_execution"}]


def text(message):
    return next(block.text for block in message.content if block.type == "text")


def messages(session):
    hello = [{"role": "user", "content": "hello"}]
    book.heard(text(client.messages.create(model=MODEL, max_tokens=64, messages=hello)))
    with client.messages.stream(model=MODEL, max_tokens=64, messages=hello) as stream:
        book.heard("".join(stream.text_stream))
    assert client.messages.count_tokens(model=MODEL, messages=hello).input_tokens > 0


def containers(session):
    thread, more = book.thread(), {}
    for turn in range(TURNS):
        message = client.messages.create(
            model=MODEL, max_tokens=64, tools=CODE, messages=[{"role": "user", "content": f"turn {turn}"}], **more
        )
        thread.turn_is(text(message))
        more = {"container": message.container.id}


def streamed_containers(session):
    thread, more = book.thread(), {}
    for turn in range(TURNS):
        hello = [{"role": "user", "content": "hello"}]
        with client.messages.stream(model=MODEL, max_tokens=64, tools=CODE, messages=hello, **more) as stream:
            thread.turn_is("".join(stream.text_stream))
            container = stream.get_final_message().container
        more = {"container": container.id}


def thinking(session):
    """Every turn brings the thoughts of those before it, sealed; every other one is streamed."""
    thread, said = book.thread(), [{"role": "user", "content": "hello"}]
    options = {"model": MODEL, "max_tokens": 2048, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    for turn in range(TURNS):
        if turn % 2:
            with client.messages.stream(messages=said, **options) as stream:
                message = stream.get_final_message()
        else:
            message = client.messages.create(messages=said, **options)
        thread.sealed(text(message))
        thought = next(block for block in message.content if block.type == "thinking")
        assert thought.signature
        said += [{"role": "assistant", "content": message.content}, {"role": "user", "content": "go on"}]


def files(session):
    content = f"session {session}".encode()
    file = client.beta.files.upload(file=("notes.txt", content, "text/plain"))
    assert client.beta.files.retrieve_metadata(file.id).size_bytes == len(content)
    assert client.beta.files.download(file.id).read() == content
    block = {"type": "document", "source": {"type": "file", "file_id": file.id}}
    thread = book.thread()
    for turn in range(TURNS):
        message = client.beta.messages.create(
            model=MODEL, max_tokens=64, messages=[{"role": "user", "content": [block]}], betas=["files-api-2025-04-14"]
        )
        thread.sealed(text(message))
    client.beta.files.delete(file.id)
    try:
        client.beta.files.retrieve_metadata(file.id)
    except anthropic.NotFoundError:
        return
    raise AssertionError("what was deleted is still there")


def batches(session):
    params = {"model": MODEL, "max_tokens": 16, "messages": [{"role": "user", "content": "hello"}]}
    batch = client.messages.batches.create(requests=[{"custom_id": "1", "params": params}])
    for turn in range(TURNS):
        assert client.messages.batches.retrieve(batch.id).processing_status == "ended"
    if sys.argv[2] != "sealed":
        # The SDK asks at `results_url`, in whose middle the id stands, and there Riparian puts no seal.
        assert [result.custom_id for result in client.messages.batches.results(batch.id)] == ["1"]


for story in (messages, containers, streamed_containers, thinking, files, batches):
    book.tell(story)
book.close("anthropic", anthropic.__version__)
