"""The contract suite runs on a pack of one's own, as CONTRIBUTING says."""

import json
import subprocess
import sys
from pathlib import Path

SUITE = Path(__file__).parent / "test_contract.py"
PACK = """\
provider: acme
revision: 1
base_url: https://acme.example
operations:
  clip:
    default: true
    makes: video
    produces: [task, url, file]
    submit: {post: /clips, json: {prompt: "{{ prompt }}"}, task: id}
    status: {get: "/clips/{task}", state: state, states: {done: [ok], failed: [bad]}, link: url}
errors: [{status: 400, class: input, remedy: Check the prompt.}]
"""
CLIP = """\
operation: clip
jobs: {one: {values: {prompt: P}, request: {post: /clips, json: {prompt: P}}}}
submit: [{answer: {json: {id: "1"}}, means: {is: accepted, task: "TASK"}}]
status: {task: "1", request: {get: /clips/1}, every: {state: "<state>"}}
"""


def run(folder: Path, task: str) -> subprocess.CompletedProcess[str]:
    """Write a pack with its examples, and run the suite on it."""
    (folder / "examples").mkdir(parents=True)
    (folder / "provider.yaml").write_text(PACK)
    (folder / "acme.schema.json").write_text(json.dumps({"$defs": {"clip": {"properties": {"prompt": {}}}}}))
    (folder / "examples" / "pack.yaml").write_text("errors: [{status: 400, class: input}]\n")
    (folder / "examples" / "clip.yaml").write_text(CLIP.replace("TASK", task))
    command = [sys.executable, "-m", "pytest", "-q", str(SUITE), "--pack", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=SUITE.parents[2])


def test_a_pack_of_ones_own_is_tested(tmp_path: Path) -> None:
    """Examples that hold pass; an example that does not hold fails, by name."""
    good = run(tmp_path / "good" / "acme", "1")
    assert good.returncode == 0, good.stdout
    bad = run(tmp_path / "bad" / "acme", "2")
    assert bad.returncode == 1
    assert "acme-clip-submit-0" in bad.stdout
