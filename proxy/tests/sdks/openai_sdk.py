"""`openai` through Riparian: base_url changed, nothing else."""

import sys

import openai
from openai import OpenAI

from threads import TURNS, Book

MODEL = "gpt-5.5"
book = Book()
client = OpenAI(base_url=sys.argv[1] + "/v1", api_key="sk-of-the-client", max_retries=0)


def refused(kind, call):
    """The SDK's own exception of this kind."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"not refused: {call}")


def chat_and_embeddings(session):
    answer = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hello"}])
    book.heard(answer.choices[0].message.content)
    stream = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hello"}], stream=True)
    book.heard("".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices))
    vectors = client.embeddings.create(model="text-embedding-3-small", input=["hello", "there"])
    assert len(vectors.data) == 2 and vectors.data[0].embedding


def responses(session):
    thread, previous = book.thread(), None
    for turn in range(TURNS):
        response = client.responses.create(model=MODEL, input=f"turn {turn}", previous_response_id=previous)
        thread.turn_is(response.output_text)
        previous = response.id
    assert client.responses.retrieve(previous).id == previous
    client.responses.delete(previous)
    refused(openai.NotFoundError, lambda: client.responses.retrieve(previous))


def streamed_responses(session):
    thread, previous = book.thread(), None
    for turn in range(TURNS):
        events = client.responses.create(model=MODEL, input="hello", previous_response_id=previous or openai.omit, stream=True)
        text = ""
        for event in events:
            if event.type == "response.output_text.delta":
                text += event.delta
            elif event.type == "response.completed":
                previous = event.response.id
        thread.turn_is(text)
    with client.responses.stream(model=MODEL, input="hello", previous_response_id=previous) as stream:
        thread.turn_is(stream.get_final_response().output_text)


def conversations(session):
    thread = book.thread()
    conversation = client.conversations.create(metadata={"session": str(session)})
    for turn in range(TURNS):
        response = client.responses.create(model=MODEL, input="hello", conversation=conversation.id)
        thread.turn_is(response.output_text)
    assert client.conversations.retrieve(conversation.id).metadata == {"session": str(session)}
    assert len(list(client.conversations.items.list(conversation.id))) >= 2 * TURNS
    client.conversations.delete(conversation.id)
    refused(openai.NotFoundError, lambda: client.conversations.retrieve(conversation.id))


def files(session):
    content = f"session {session}".encode()
    file = client.files.create(file=("notes.txt", content), purpose="user_data")
    assert client.files.retrieve(file.id).bytes == len(content)
    assert client.files.content(file.id).read() == content
    part = {"type": "input_file", "file_id": file.id}
    message = [{"role": "user", "content": [part, {"type": "input_text", "text": "read it"}]}]
    thread, previous = book.thread(), None
    for turn in range(TURNS):
        response = client.responses.create(model=MODEL, input=message, previous_response_id=previous)
        thread.turn_is(response.output_text)
        previous = response.id
    store = client.vector_stores.create(name="notes", file_ids=[file.id])
    assert client.vector_stores.retrieve(store.id).name == "notes"
    assert client.files.delete(file.id).deleted
    refused(openai.NotFoundError, lambda: client.files.retrieve(file.id))


def background(session):
    thread, previous = book.thread(), None
    for turn in range(TURNS):
        response = client.responses.create(model=MODEL, input="hello", background=True, previous_response_id=previous)
        previous = response.id
        for _ in range(50):
            if response.status == "completed":
                break
            response = client.responses.retrieve(previous)
        assert response.status == "completed", response.status
        thread.turn_is(response.output_text)


def containers(session):
    tool = {"type": "code_interpreter", "container": {"type": "auto"}}
    first = client.responses.create(model=MODEL, input="compute", tools=[tool])
    call = next(item for item in first.output if item.type == "code_interpreter_call")
    cloud, _ = book.heard(first.output_text)
    tool["container"] = call.container_id
    for turn in range(TURNS):
        response = client.responses.create(model=MODEL, input="again", tools=[tool])
        assert book.heard(response.output_text)[0] == cloud
    assert client.containers.retrieve(call.container_id).id == call.container_id


def encrypted_reasoning(session):
    """Nothing is stored anywhere; what was thought goes along, sealed."""
    thread, include = book.thread(), ["reasoning.encrypted_content"]
    said = [{"role": "user", "content": "hello"}]
    for turn in range(TURNS):
        response = client.responses.create(model=MODEL, input=said, store=False, include=include)
        thread.sealed(response.output_text)
        said += [item.model_dump(exclude_none=True) for item in response.output if item.type == "reasoning"]
        said.append({"role": "user", "content": "go on"})


def response_socket(session):
    """The Responses API over its WebSocket: what is not stored lives as long as the socket does."""
    thread, previous = book.thread(), openai.omit
    with client.responses.connect() as connection:
        for turn in range(TURNS):
            connection.response.create(model=MODEL, input="hello", store=False, previous_response_id=previous)
            text = ""
            for event in connection:
                assert event.type != "error", event
                if event.type == "response.output_text.delta":
                    text += event.delta
                elif event.type == "response.completed":
                    previous = event.response.id
                    break
            thread.turn_is(text)


def realtime(session):
    thread = book.thread()
    with client.realtime.connect(model="gpt-realtime") as connection:
        assert connection.recv().type == "session.created"
        connection.session.update(session={"type": "realtime", "instructions": "be kind"})
        assert connection.recv().type == "session.updated"
        for turn in range(TURNS):
            item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
            connection.conversation.item.create(item=item)
            connection.response.create()
            text = ""
            for event in connection:
                assert event.type != "error", event
                if event.type == "response.output_text.delta":
                    text += event.delta
                elif event.type == "response.done":
                    break
            thread.turn_is(text)


for story in (
    chat_and_embeddings,
    responses,
    streamed_responses,
    conversations,
    files,
    background,
    containers,
    encrypted_reasoning,
    response_socket,
    realtime,
):
    book.tell(story)
error = refused(openai.APIStatusError, lambda: client.responses.create(model=MODEL, input="x", previous_response_id="resp_unknown"))
assert error.status_code in (400, 404, 409), error
book.close("openai", openai.__version__)
