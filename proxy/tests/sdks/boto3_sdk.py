"""`boto3` through Riparian: endpoint_url changed, nothing else. It signs with keys of its own, which no cloud knows.

    boto3_sdk.py URL STORE

With the store `sealed` nobody could remember where a session began that a client invented: it is refused, and all else is as ever.
"""

import sys
import uuid

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from threads import TURNS, Book

MODEL = "us.anthropic.claude-sonnet-5"
ARN = "arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/my-runtime"
book = Book()


def client(service):
    return boto3.client(
        service,
        endpoint_url=sys.argv[1],
        region_name="us-east-1",
        aws_access_key_id="AKIAOFTHECLIENT00000",
        aws_secret_access_key="secret-of-the-client",
        config=Config(retries={"total_max_attempts": 1}),
    )


runtime, agents, agentcore = client("bedrock-runtime"), client("bedrock-agent-runtime"), client("bedrock-agentcore")
THINK = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
USER = {"role": "user", "content": [{"text": "hello"}]}


def converse(session):
    """Every turn brings the thoughts of those before it, sealed."""
    thread, messages = book.thread(), [USER]
    for turn in range(TURNS):
        answer = runtime.converse(modelId=MODEL, messages=messages, additionalModelRequestFields=THINK)
        message = answer["output"]["message"]
        thread.sealed(next(block["text"] for block in message["content"] if "text" in block))
        messages += [message, USER]


def converse_stream(session):
    thread, messages = book.thread(), [USER]
    for turn in range(TURNS):
        answer = runtime.converse_stream(modelId=MODEL, messages=messages, additionalModelRequestFields=THINK)
        text, thought, seal, stopped = "", "", "", False
        for event in answer["stream"]:
            delta = event.get("contentBlockDelta", {}).get("delta", {})
            text += delta.get("text", "")
            thought += delta.get("reasoningContent", {}).get("text", "")
            seal += delta.get("reasoningContent", {}).get("signature", "")
            stopped |= "messageStop" in event
        assert stopped and seal
        thread.sealed(text)
        reasoning = {"reasoningContent": {"reasoningText": {"text": thought, "signature": seal}}}
        messages += [{"role": "assistant", "content": [reasoning, {"text": text}]}, USER]


def ask_agent(invented):
    return agents.invoke_agent(agentId="AGENT12345", agentAliasId="ALIAS12345", sessionId=invented, inputText="hello")


def invoke_agent(session):
    """A session that the client invents: whoever meets it first has it, and an unknown one would begin anew, without an error."""
    thread, invented = book.thread(), str(uuid.uuid4())
    for turn in range(TURNS):
        answer = ask_agent(invented)
        thread.turn_is(b"".join(event["chunk"]["bytes"] for event in answer["completion"]).decode())
        assert answer["sessionId"] == invented


def retrieve_and_generate(session):
    thread, more = book.thread(), {}
    knowledge = {"knowledgeBaseId": "KB12345678", "modelArn": MODEL}
    configuration = {"type": "KNOWLEDGE_BASE", "knowledgeBaseConfiguration": knowledge}
    for turn in range(TURNS):
        answer = agents.retrieve_and_generate(
            input={"text": "hello"}, retrieveAndGenerateConfiguration=configuration, **more
        )
        thread.turn_is(answer["output"]["text"])
        more = {"sessionId": answer["sessionId"]}


def sessions(session):
    made = agents.create_session()["sessionId"]
    for turn in range(TURNS):
        assert agents.create_invocation(sessionIdentifier=made)["sessionId"] == made
    assert agents.get_session(sessionIdentifier=made)["sessionStatus"] == "ACTIVE"
    agents.end_session(sessionIdentifier=made)
    agents.delete_session(sessionIdentifier=made)


def invoke_agent_runtime(session):
    """Half of the sessions are invented by the client, half by its SDK, which leaves none to the service."""
    import json

    thread = book.thread()
    more = {"runtimeSessionId": f"{uuid.uuid4()}{uuid.uuid4()}"} if session % 2 else {}
    for turn in range(TURNS):
        answer = agentcore.invoke_agent_runtime(
            agentRuntimeArn=ARN, payload=b'{"prompt": "hello"}', accept="application/json", **more
        )
        thread.turn_is(json.load(answer["response"])["result"])
        assert more.get("runtimeSessionId") in (None, answer["runtimeSessionId"])
        more = {"runtimeSessionId": answer["runtimeSessionId"]}


def code_interpreter(session):
    started = agentcore.start_code_interpreter_session(codeInterpreterIdentifier="aws.codeinterpreter.v1", name="s")
    ids = {"codeInterpreterIdentifier": "aws.codeinterpreter.v1", "sessionId": started["sessionId"]}
    thread = book.thread()
    for turn in range(TURNS):
        answer = agentcore.invoke_code_interpreter(name="executeCode", arguments={"code": "1 + 1"}, **ids)
        results = [event["result"] for event in answer["stream"]]
        thread.turn_is(results[0]["content"][0]["text"])
    agentcore.stop_code_interpreter_session(**ids)


def invented_sessions(session):
    """Refused, and not begun anew at every turn."""
    invented = str(uuid.uuid4())
    for ask in (lambda: ask_agent(invented), lambda: agentcore.invoke_agent_runtime(agentRuntimeArn=ARN, payload=b"{}")):
        try:
            ask()
        except ClientError as error:
            assert error.response["Error"]["Code"] == "ResourceNotFoundException", error
            continue
        raise AssertionError("not refused")


stories = [converse, converse_stream, invoke_agent, retrieve_and_generate, sessions, invoke_agent_runtime, code_interpreter]
if sys.argv[2] == "sealed":
    # Some twice: of few sessions chance might give all to one cloud.
    more = [retrieve_and_generate, code_interpreter]
    stories = [converse, converse_stream, invented_sessions, retrieve_and_generate, sessions, code_interpreter, *more]
for story in stories:
    book.tell(story)
book.close("boto3", boto3.__version__)
