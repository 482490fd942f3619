"""The small repository that `sharectl init` writes: it works as it is, and shows where things belong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import DiagnosticError, error

if TYPE_CHECKING:
    from pathlib import Path


IGNORE_FILE: Final = ".gitignore"


_PROJECT: Final = """\
# The settings of this repository; everything in here has a default.
apiVersion: sharectl/v1
kind: Project
spec:
  manifests:
    - backends.yaml
    - share-types.yaml
    - shares/
  safety:
    # A plan that removes more than both of these stops, and asks for --allow-deletions.
    maxDeletionPercentage: 10
    deletionFloor: 3
"""


_BACKENDS: Final = """\
# Where shares are made. The directory driver needs no server and no root: a share is a folder under `root`.
# For data that matters name an absolute path: what is inside of a checkout goes with it.
apiVersion: sharectl/v1
kind: Backend
metadata:
  name: local
spec:
  driver: directory
  config:
    root: storage
"""


_SHARE_TYPES: Final = """\
# What kinds of shares people may ask for, in Manila's extra specs.
apiVersion: sharectl/v1
kind: ShareType
metadata:
  name: general
spec:
  description: For everything that needs nothing special.
  extraSpecs:
    driver_handles_share_servers: false
"""


_SHARE: Final = """\
# A share, and who may reach it.
apiVersion: sharectl/v1
kind: Share
metadata:
  name: projects
  labels:
    team: research
spec:
  size: 10GiB
  protocol: NFS
  type: general
  access:
    - type: ip
      to: 192.168.10.0/24
      level: rw
    - type: ip
      to: 192.168.20.7
      level: ro
  # retain (the default) leaves the data where it is when this manifest goes; delete and trash remove it.
  deletionPolicy: retain
"""


_IGNORE: Final = """\
# The state and the cache belong to this machine, the folder to the directory driver.
.sharectl/
storage/
"""


_GITHUB: Final = """\
# A pull request gets its plan; what is merged into main is applied. For a runner of your own that reaches the storage
# (labels: self-hosted, storage) and has sharectl on its PATH. Do not use it in a public repository: whoever may open a
# pull request there could run programs on your runner.
name: shares
on:
  pull_request:
  push:
    branches: [main]

permissions:
  contents: read

env:
  # The state is a file on the runner, outside of the checkout: checkouts are cleaned, and made anew when git is in doubt.
  # If you have applied this repository by hand already, move .sharectl/state.db there first.
  SHARECTL_STATE: ~/.local/state/sharectl/${{ github.repository }}/state.db

jobs:
  plan:
    # Not for forks: their authors are not yours.
    if: github.event_name == 'pull_request' && github.event.pull_request.head.repo.full_name == github.repository
    runs-on: [self-hosted, storage]
    timeout-minutes: 30
    # A newer push to the same pull request makes the older plan pointless. This group is never that of an apply.
    concurrency:
      group: sharectl-plan-${{ github.ref }}
      cancel-in-progress: true
    steps:
      - uses: actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2
        with:
          clean: false # else `git clean -ffdx` takes what git ignores: a state and shares that are in the checkout
          persist-credentials: false
      - name: Nothing but what is to be reviewed
        run: |
          git status --short
          test -z "$(git status --porcelain)"
      - run: sharectl validate
      - name: Plan
        # For reading only. What is applied is planned anew, under the lock, when it is merged.
        run: |
          code=0
          sharectl plan --detailed-exitcode --output markdown >> "$GITHUB_STEP_SUMMARY" || code=$?
          case $code in
            0) echo "No changes." ;;
            2) echo "There are changes; the summary of this run shows them." ;;
            *) exit $code ;;
          esac

  apply:
    if: github.event_name == 'push'
    runs-on: [self-hosted, storage]
    # A run that works is never cancelled. Of several that wait, the forge keeps the last: it applies what all of them brought.
    concurrency:
      group: sharectl-apply
      cancel-in-progress: false
    # environment: storage   # with reviewers in the settings of the repository, somebody has to agree first
    steps:
      - uses: actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2
        with:
          ref: ${{ github.ref_name }} # the tip of main, so that a run that is late or repeated never goes back
          clean: false
          persist-credentials: false
      - name: Nothing but what was reviewed
        run: |
          git status --short
          test -z "$(git status --porcelain)"
      - run: sharectl validate
      - name: Apply
        # Secrets that manifests name as {env: NAME} go here: env: {NAME: "${{ secrets.NAME }}"}
        run: sharectl apply --yes --lock-timeout 30m
"""

_GITLAB: Final = """\
# A merge request gets its plan; what is merged into the default branch is applied. For a runner of your own that reaches
# the storage (tag: storage, executor: shell) and has sharectl on its PATH.
stages: [plan, apply]

variables:
  GIT_STRATEGY: fetch
  GIT_CLEAN_FLAGS: none # else `git clean -ffdx` takes what git ignores: a state and shares that are in the checkout
  GIT_SUBMODULE_STRATEGY: none
  # The state is a file on the runner, outside of the checkout: checkouts are cleaned, and each slot of a runner has its own.
  # If you have applied this repository by hand already, move .sharectl/state.db there first.
  SHARECTL_STATE: ~/.local/state/sharectl/$CI_PROJECT_PATH/state.db

plan:
  stage: plan
  tags: [storage]
  timeout: 30 minutes
  rules:
    # Not for forks: their authors are not yours.
    - if: $CI_PIPELINE_SOURCE == "merge_request_event" && $CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_PROJECT_ID
  # A newer push to the same merge request makes the older plan pointless.
  interruptible: true
  script:
    - git status --short
    - test -z "$(git status --porcelain)"
    - sharectl validate
    # For reading only. What is applied is planned anew, under the lock, when it is merged.
    - |
      code=0
      sharectl plan --detailed-exitcode || code=$?
      case $code in
        0) echo "No changes." ;;
        2) echo "There are changes." ;;
        *) exit $code ;;
      esac

apply:
  stage: apply
  tags: [storage]
  rules:
    - if: $CI_PIPELINE_SOURCE == "push" && $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH
  # One at a time, and none is cancelled.
  resource_group: sharectl
  interruptible: false
  script:
    # The tip of the branch, so that a job that is late or repeated never goes back.
    - git fetch --quiet --no-tags origin "$CI_DEFAULT_BRANCH"
    - git checkout --quiet --detach FETCH_HEAD
    - git status --short
    - test -z "$(git status --porcelain)"
    - sharectl validate
    # Secrets that manifests name as {env: NAME} are protected, masked variables of the project.
    - sharectl apply --yes --lock-timeout 30m
"""

WORKFLOWS: Final[dict[str, tuple[str, str]]] = {
    "github": (".github/workflows/shares.yml", _GITHUB),
    "gitlab": (".gitlab-ci.yml", _GITLAB),
}
"""By forge: where its workflow stands in a repository, and its text."""

FILES: Final[dict[str, str]] = {
    "sharectl.yaml": _PROJECT,
    "backends.yaml": _BACKENDS,
    "share-types.yaml": _SHARE_TYPES,
    "shares/projects.yaml": _SHARE,
    IGNORE_FILE: _IGNORE,
}
"""What is written, by path under the new repository, besides the workflow."""


def write_repository(directory: Path, forge: str) -> tuple[str, ...]:
    """Write the files into `directory`, none of which may exist, with the workflow for the forge; return their paths. Raises DiagnosticError."""
    workflow_name, workflow = WORKFLOWS[forge]
    files = {**FILES, workflow_name: workflow}
    taken = [name for name in files if (directory / name).exists() and name != IGNORE_FILE]
    if taken:
        is_repository = "sharectl.yaml" in taken
        elsewhere = "name a folder that is empty or not there yet: `sharectl init DIR`"
        raise DiagnosticError(
            error(
                "init.exists",
                f"{directory / taken[0]} is there already",
                detail="nothing was written, so nothing of yours was overwritten.",
                remedy=f"this is a repository: go on with `sharectl plan`, or {elsewhere}"
                if is_repository
                else elsewhere,
            )
        )
    written = []
    try:
        for name, text in files.items():
            path = directory / name
            if path.exists():
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(name)
    except OSError as problem:
        raise DiagnosticError(
            error("init.unwritable", f"{problem.filename} could not be written: {problem.strerror}")
        ) from problem
    return tuple(written)
