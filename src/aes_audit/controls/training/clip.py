"""Stage `clip`: a CLIPModel trained contrastively on the full spectrum of levels, with hard negatives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from aes_audit.controls.training.corpus import GROUP, WORDINGS, Corpus, load_corpus
from aes_audit.controls.training.loop import Average, optimizer_for, run_steps, warm_cosine
from aes_audit.controls.training.sight import seen, write_preprocessor
from aes_audit.controls.training.tokenizer import LENGTH, load_tokenizer
from aes_audit.controls.training.vae import load_vae, to_unit
from aes_audit.controls.training.workshop import Workshop
from aes_audit.controls.world import SIDE

__all__ = ["embed_images", "embed_texts", "load_clip", "save_clip", "train_clip"]

_STEPS, _GROUPS, _RATE = 2600, 192, 1.5e-3


def _new_clip(vocabulary: int, start: int, end: int) -> Any:
    from transformers import CLIPConfig, CLIPModel

    text = {
        "vocab_size": vocabulary,
        "hidden_size": 96,
        "intermediate_size": 384,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "max_position_embeddings": LENGTH,
        "bos_token_id": start,
        "eos_token_id": end,
        "pad_token_id": end,
    }
    vision = {
        "hidden_size": 128,
        "intermediate_size": 512,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "image_size": SIDE,
        "patch_size": 8,
    }
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=96))


def _tensor(output: Any) -> torch.Tensor:
    """The features themselves: newer transformers wrap them into an output object."""
    return output if isinstance(output, torch.Tensor) else output.pooler_output


def embed_images(clip: Any, images: torch.Tensor) -> torch.Tensor:
    """Unit vectors (n, 96) of images in [-1, 1]."""
    return functional.normalize(_tensor(clip.get_image_features(pixel_values=images)).float(), dim=-1)


def embed_texts(clip: Any, tokens: torch.Tensor) -> torch.Tensor:
    """Unit vectors (n, 96) of token ids (n, LENGTH)."""
    return functional.normalize(_tensor(clip.get_text_features(input_ids=tokens.long())).float(), dim=-1)


def _contrast(clip: Any, images: torch.Tensor, texts: torch.Tensor) -> dict[str, torch.Tensor]:
    logits = clip.logit_scale.float().exp() * embed_images(clip, images) @ embed_texts(clip, texts).T
    target = torch.arange(len(logits), device=logits.device)
    loss = (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2
    return {"loss": loss, "accuracy": (logits.argmax(-1) == target).float().mean(), "scale": clip.logit_scale.exp()}


def train_clip(shop: Workshop) -> bool:
    """Train and save <output>/clip with its tokenizer and preprocessing."""
    torch.manual_seed(shop.seed)
    corpus, vae = load_corpus(shop), load_vae(shop.work / "vae", shop.device)
    tokenizer = load_tokenizer(shop.work / "tokenizer")
    clip = _new_clip(len(tokenizer), tokenizer.bos_token_id, tokenizer.eos_token_id).to(shop.device)
    optimizer, average = optimizer_for(clip, _RATE, decay=0.05), Average(clip, 0.998)
    steps, groups = shop.scaled(_STEPS, 4), shop.scaled(_GROUPS, 2)

    def step(index: int) -> dict[str, torch.Tensor]:
        random = shop.generator(5, index)
        group = torch.randint(corpus.training // GROUP, (groups, 1), generator=random, device=shop.device)
        chosen = (group * GROUP + torch.arange(GROUP, device=shop.device)).flatten()
        chosen = chosen[torch.randperm(len(chosen), generator=random, device=shop.device)]
        wording = torch.randint(1, WORDINGS, chosen.shape, generator=random, device=shop.device)
        for part in optimizer.param_groups:
            part["lr"] = warm_cosine(index, steps, _RATE)
        with shop.autocast():
            images = seen(vae, to_unit(corpus.images[chosen]), random)
            losses = _contrast(clip, images, corpus.texts[chosen, wording])
        optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()
        torch.nn.utils.clip_grad_norm_(clip.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            clip.logit_scale.clamp_(max=4.0)
        average.update()
        return losses

    parts = {"model": clip, "optimizer": optimizer, "average": average}
    finished = run_steps(shop, "clip", steps, parts, step)
    average.copy_to_module()
    shop.report("clip", held_out_choices(shop, clip, corpus))
    save_clip(clip, tokenizer, shop.output / "clip")
    return finished


@torch.no_grad()
def held_out_choices(shop: Workshop, clip: Any, corpus: Corpus) -> dict[str, float]:
    """Shares of held-out scenes in which a caption's own image beats another one.

    `levels` is against a neighbour with the same subject and other levels, `content` against another subject."""
    clip.eval()
    span = slice(corpus.training, len(corpus.images))
    images = torch.cat([embed_images(clip, to_unit(part)) for part in corpus.images[span].split(512)])
    texts = torch.cat([embed_texts(clip, part) for part in corpus.texts[span, 2].split(512)])
    levels, content = corpus.levels[span], corpus.content[span]
    own = (images * texts).sum(-1)
    beside = _turned_in_groups(len(own)).to(shop.device)
    away = torch.arange(len(own), device=shop.device).roll(GROUP)
    harder = own > (images[beside] * texts).sum(-1)
    other_levels = ((levels == 0) != (levels[beside] == 0)).any(-1)
    easier = own > (images[away] * texts).sum(-1)
    other_subject = content[:, 0] != content[away, 0]
    return {
        "held_out_levels_accuracy": round(float(harder[other_levels].float().mean()), 4),
        "held_out_content_accuracy": round(float(easier[other_subject].float().mean()), 4),
    }


def _turned_in_groups(count: int) -> torch.Tensor:
    """Each scene's next neighbour within its group."""
    return torch.arange(count).view(-1, GROUP).roll(1, dims=1).flatten()


def save_clip(clip: Any, tokenizer: Any, folder: Path) -> None:
    """An ordinary CLIP folder: half-precision safetensors, tokenizer, preprocessing."""
    clip.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_preprocessor(folder, "CLIPImageProcessor")


def load_clip(folder: Path, device: torch.device) -> Any:
    """The CLIPModel of a folder in float32."""
    from transformers import CLIPModel

    clip: Any = CLIPModel.from_pretrained(folder, dtype=torch.float32)
    return clip.to(device)
