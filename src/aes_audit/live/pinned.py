"""What a live run names, looked up and pinned: prompts, subjects, generators, rewards, judges. Nothing is loaded."""

from __future__ import annotations

import shutil
import tempfile
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from aes_audit.device import pick_device
from aes_audit.errors import UsageError
from aes_audit.evidence.storage.address import folder_of, local_folder
from aes_audit.gates.thresholds import Profile
from aes_audit.generators.families import provenance_warnings
from aes_audit.generators.registry import resolve_model
from aes_audit.judges.endpoint_model import EndpointJudgeModel
from aes_audit.judges.registry import DimensionJudgeModel, resolve_judge
from aes_audit.live.judges import PreferencePanel, Questions
from aes_audit.pinning import hosted_warning, refuse_floating
from aes_audit.planning import Subjects, live_subjects
from aes_audit.prompts.pairs import PromptSet, read_prompt_set
from aes_audit.rewards.registry import resolve_reward, scorer_name
from aes_audit.session import AuditSession
from aes_audit.spending import Spending

if TYPE_CHECKING:
    from aes_audit.evidence.measuring import Instruments
    from aes_audit.evidence.store import Store
    from aes_audit.generators.protocol import ResolvedGenerator
    from aes_audit.rewards.protocol import ResolvedReward

__all__ = ["PinnedSession"]


class PinnedSession(AuditSession):
    """A session that knows every model it was given by name, commit and settings."""

    @property
    @abstractmethod
    def further_generators(self) -> Sequence[str]:
        """SPECs of generators that are needed besides the subjects and their pool."""

    @cached_property
    def device(self) -> str:
        """Where models run."""
        return pick_device(self.config.device)

    @cached_property
    def store(self) -> Store:
        """Where images and scores are kept."""
        from aes_audit.evidence.store import Store

        part, folder = self.config.part, folder_of(self.config.store)
        # Where a file is in its place nothing can be made, and opening it as a run does says so.
        blocked = folder is not None and any(place.is_file() for place in (folder, *folder.parents))
        looked_at = self.config.plan and not blocked
        return Store(self.config.store, looked_at=looked_at, sharing="" if part.is_whole else str(part))

    @cached_property
    def fingerprints(self) -> Path:
        """Where digests of weights are remembered; a plan leaves the folder as it is and remembers in a copy."""
        kept = local_folder(self.config.store) / "fingerprints"
        if not self.config.plan:
            return kept
        self._copy = tempfile.TemporaryDirectory(prefix="aes_audit-")
        with suppress(OSError, shutil.Error):
            shutil.copytree(kept, self._copy.name, dirs_exist_ok=True)
        return Path(self._copy.name)

    @cached_property
    def prompts(self) -> PromptSet:
        """The prompt pairs of this run."""
        return read_prompt_set(self.profile.prompts).first(self.config.pairs or self.profile.pairs)

    @cached_property
    def subjects(self) -> Subjects:
        """What is under audit."""
        asked = live_subjects(self.config, self.profile)
        return replace(asked, rewards=tuple(dict.fromkeys(map(self._scorer_name, asked.rewards))))

    @cached_property
    def named_profile(self) -> Profile:
        """The profile with its scorers under the names that the evidence gives them, and not as SPECs."""
        quality = tuple(map(self._scorer_name, self.profile.quality))
        return replace(self.profile, quality=quality, matcher=self._scorer_name(self.profile.matcher), truth=self.truth)

    def _scorer_name(self, spec: str) -> str:
        """What the evidence calls the reward of a SPEC: without its path or revision."""
        return scorer_name(spec, device=self.device)

    @cached_property
    def spending(self) -> Spending:
        """What hosted models may cost in this run."""
        return Spending(self.config.budget, self.config.run, local_folder(self.config.store))

    @cached_property
    def generators(self) -> Mapping[str, ResolvedGenerator]:
        """Every generator whose images are needed, pinned."""
        return {
            name: self.spending.paid(
                resolve_model(
                    name,
                    root=self.config.rootdir,
                    device=self.device,
                    batch_size=self.config.batch_size,
                    cache=self.fingerprints,
                    recipe=self.profile.recipe,
                )
            )
            for name in dict.fromkeys([*self.subjects.generators, *self.further_generators])
        }

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of the results must know about how models compare and what judged them, a sentence each."""
        base = self.generators[self.subjects.base_model] if self.subjects.base_model else None
        said = (
            *provenance_warnings([self.generators[name] for name in self.subjects.models], base),
            *self.judge.warnings,
        )
        asked = self.config.require_pinned == "on"
        judges = [judge.name for judge in self.preferences.onlookers]
        judges += [self.judge.name] if isinstance(self.judge, EndpointJudgeModel) else []
        hosted = hosted_warning(self.generators, self.config.rootdir, judges) if asked else None
        return (*said, hosted) if hosted else said

    @cached_property
    def _reward_specs(self) -> Mapping[str, str]:
        """The SPEC of each reward by its name in the evidence."""
        asked = live_subjects(self.config, self.profile).rewards
        specs: dict[str, str] = {}
        for spec in dict.fromkeys([*asked, *self.profile.quality, self.profile.matcher]):
            other = specs.setdefault(self._scorer_name(spec), spec)
            if other != spec:
                raise UsageError(
                    f"rewards {other!r} and {spec!r} have one name in the evidence: audit them one by one."
                )
        return specs

    @cached_property
    def rewards(self) -> Mapping[str, ResolvedReward]:
        """Rewards under audit and those that serve as instruments, pinned."""
        cache, root = self.fingerprints, self.config.rootdir
        specs = self._reward_specs
        return {name: resolve_reward(spec, device=self.device, root=root, cache=cache) for name, spec in specs.items()}

    @cached_property
    def judge(self) -> DimensionJudgeModel:
        """The dimension judge, pinned."""
        cache, root = self.fingerprints, self.config.rootdir
        judge = resolve_judge(self.profile.judge, device=self.device, root=root, cache=cache)
        return judge.paid_from(self.spending.budget) if isinstance(judge, EndpointJudgeModel) else judge

    @cached_property
    def preferences(self) -> PreferencePanel:
        """The preference judges: the profile's and those named besides."""
        return PreferencePanel.of([*self.profile.preferences, self.profile.truth, *self.config.judges], self.spending)

    @property
    def truth(self) -> str:
        """What the evidence calls the judge that rewards are held against."""
        return self.preferences.name(self.profile.truth)

    @property
    def questions(self) -> Questions:
        """What the judges that look at images are still to be asked."""
        return Questions(self.preferences, self.generators, self.prompts, self.store)

    @cached_property
    def instruments(self) -> Instruments:
        """Everything that scores images in this run."""
        from aes_audit.evidence.measuring import Instruments

        panel = self.preferences
        return Instruments(tuple(self.rewards.values()), self.judge, panel.deciding, panel.onlookers)

    def refuse_floating(self) -> None:
        """Raise UsageError, where pinned revisions are required, for one that may change."""
        if self.config.require_pinned == "on":
            pinned = {spec: self.rewards[name] for name, spec in self._reward_specs.items()}
            refuse_floating(self.generators.values(), pinned, self.judge, self.config.rootdir)
