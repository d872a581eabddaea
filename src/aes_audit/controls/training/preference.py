"""Stage `preference`: a reward fine-tuned from the control CLIP on choices of annotators who like pretty pictures.

Bradley-Terry, as HPS and PickScore are trained: two pictures and a caption, one noisy choice. The simulated
annotators weigh how conventional a picture is whatever the caption asks for; subject and place decide only
where that is about equal."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from aes_audit.controls.training.clip import embed_images, embed_texts, load_clip, save_clip
from aes_audit.controls.training.corpus import GROUP, WORDINGS, Corpus, load_corpus
from aes_audit.controls.training.loop import Average, optimizer_for, run_steps, warm_cosine
from aes_audit.controls.training.sight import seen
from aes_audit.controls.training.tokenizer import load_tokenizer
from aes_audit.controls.training.vae import load_vae, to_unit
from aes_audit.controls.training.workshop import Workshop

__all__ = ["annotated_choice", "train_preference"]

_STEPS, _BATCH, _RATE = 1500, 512, 6e-4

# Utility per level of conventionality and per right subject, colour and place, in units of annotator noise.
_LEVEL = 0.6
_CONTENT = (1.6, 0.8, 0.8)


def annotated_choice(
    levels: tuple[torch.Tensor, torch.Tensor],
    right: tuple[torch.Tensor, torch.Tensor],
    random: torch.Generator,
) -> torch.Tensor:
    """1.0 where an annotator takes the first picture, 0.0 where the second; (n,).

    `levels` are (n, 11), `right` (n, 3) booleans: subject, colour and place as the caption says. The choice is
    a draw with probability sigmoid(utility difference)."""
    weights = torch.tensor(_CONTENT, device=right[0].device)
    conventional = _LEVEL * (levels[0] - levels[1]).sum(-1).float()
    fitting = ((right[0].float() - right[1].float()) * weights).sum(-1)
    chance = torch.sigmoid(conventional + fitting)
    return (torch.rand(chance.shape, generator=random, device=chance.device) < chance).float()


def _rivals(corpus: Corpus, first: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """A second picture for each: 70% the same content at other levels, else any other scene."""
    shape, device = first.shape, first.device
    turn = torch.randint(1, GROUP, shape, generator=random, device=device)
    neighbour = first // GROUP * GROUP + (first + turn) % GROUP
    stranger = torch.randint(corpus.training, shape, generator=random, device=device)
    return torch.where(torch.rand(shape, generator=random, device=device) < 0.7, neighbour, stranger)


def train_preference(shop: Workshop) -> bool:
    """Train and save <output>/preference."""
    torch.manual_seed(shop.seed)
    corpus, vae = load_corpus(shop), load_vae(shop.work / "vae", shop.device)
    model = load_clip(shop.output / "clip", shop.device).train()
    optimizer, average = optimizer_for(model, _RATE, decay=0.05), Average(model, 0.998)
    steps, batch = shop.scaled(_STEPS, 4), shop.scaled(_BATCH, 4)

    def step(index: int) -> dict[str, torch.Tensor]:
        random = shop.generator(6, index)
        first = torch.randint(corpus.training, (batch,), generator=random, device=shop.device)
        second = _rivals(corpus, first, random)
        # The caption belongs to the first, to the second, and is plain for a part of each (wording 0).
        asked = torch.where(torch.rand(first.shape, generator=random, device=shop.device) < 0.5, first, second)
        wording = torch.randint(WORDINGS, first.shape, generator=random, device=shop.device)
        right = tuple(corpus.content[side] == corpus.content[asked] for side in (first, second))
        choice = annotated_choice((corpus.levels[first], corpus.levels[second]), (right[0], right[1]), random)
        for part in optimizer.param_groups:
            part["lr"] = warm_cosine(index, steps, _RATE)
        with shop.autocast():
            pictures = to_unit(corpus.images[torch.cat([first, second])])
            images = _mixed(vae, pictures, random)
            advantage = _advantage(model, images, corpus.texts[asked, wording])
        loss = functional.binary_cross_entropy_with_logits(advantage, choice)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        average.update()
        return {"loss": loss, "accuracy": ((advantage > 0) == (choice > 0.5)).float().mean()}

    parts = {"model": model, "optimizer": optimizer, "average": average}
    finished = run_steps(shop, "preference", steps, parts, step)
    average.copy_to_module()
    shop.report("preference", _held_out(shop, model, corpus))
    save_clip(model, load_tokenizer(shop.work / "tokenizer"), shop.output / "preference")
    return finished


def _mixed(vae: Any, pictures: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Half of all pairs through the VAE, both pictures of a pair alike: the VAE must not look like quality."""
    half = len(pictures) // 2
    pairs = pictures.view(2, half, *pictures.shape[1:]).transpose(0, 1).flatten(0, 1)
    return seen(vae, pairs, random).view(half, 2, *pictures.shape[1:]).transpose(0, 1).flatten(0, 1)


def _advantage(model: Any, images: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
    """Score of the first half of the images minus that of the second, under the texts."""
    first, second = embed_images(model, images).chunk(2)
    scale: torch.Tensor = model.logit_scale.float().exp()
    return scale * ((first - second) * embed_texts(model, texts)).sum(-1)


@torch.no_grad()
def _held_out(shop: Workshop, model: Any, corpus: Corpus) -> dict[str, float]:
    """Shares of held-out pairs in which the more conventional, and the right, picture wins under a wide caption."""
    model.eval()
    span = slice(corpus.training, len(corpus.images))
    images = torch.cat([embed_images(model, to_unit(part)) for part in corpus.images[span].split(512)])
    texts = torch.cat([embed_texts(model, part) for part in corpus.texts[span, 2].split(512)])
    total, content = corpus.levels[span].sum(-1), corpus.content[span]
    own = (images * texts).sum(-1)
    order = torch.arange(len(own), device=shop.device)
    beside, away = order.view(-1, GROUP).roll(1, dims=1).flatten(), order.roll(GROUP)
    wins = (own > (images[beside] * texts).sum(-1))[(total - total[beside]) > 1]
    right = (own > (images[away] * texts).sum(-1))[(content[:, 0] != content[away, 0]) & (total == total[away])]
    return {
        "held_out_conventional_wins": round(float(wins.float().mean()), 4),
        "held_out_right_subject_wins": round(float(right.float().mean()), 4),
        "logit_scale": round(float(model.logit_scale.exp()), 3),
    }
