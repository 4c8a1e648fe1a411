"""Names and shapes of a checkpoint of ESP-MedSAM's release, from its model code; written without our loader.

Source: xq141839/ESP-MedSAM, `model.py` and `SAM/modeling/`. One file holds one modality's controller.
"""

import math

import torch


def release_shapes(
    channels=(64, 128, 160, 320),
    depths=(2, 2, 6, 2),
    heads=(2, 4, 5, 10),
    windows=(7, 7, 14, 7),
    embedding=256,
    decoder_mlp=2048,
    decoder_depth=2,
    **_,
):
    """Name -> shape of every tensor, buffers included."""
    shapes = {}

    def linear(name, inputs, outputs):
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (outputs, inputs), (outputs,)

    def norm(name, width):
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (width,), (width,)

    def conv_norm(name, inputs, outputs, kernel=1, groups=1):
        shapes[f"{name}.c.weight"] = (outputs, inputs // groups, kernel, kernel)
        norm(f"{name}.bn", outputs)
        shapes[f"{name}.bn.running_mean"] = shapes[f"{name}.bn.running_var"] = (outputs,)
        shapes[f"{name}.bn.num_batches_tracked"] = ()

    def conv(name, inputs, outputs, kernel):
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (outputs, inputs, kernel, kernel), (outputs,)

    def mlp(name, width):
        norm(f"{name}.norm", width)
        linear(f"{name}.fc1", width, 4 * width)
        linear(f"{name}.fc2", 4 * width, width)

    def attention(name, width, inner):
        for part in ("q_proj", "k_proj", "v_proj"):
            linear(f"{name}.{part}", width, inner)
        linear(f"{name}.out_proj", inner, width)

    encoder = "SemiTViT"
    conv_norm(f"{encoder}.patch_embed.seq.0", 3, channels[0] // 2, 3)
    conv_norm(f"{encoder}.patch_embed.seq.2", channels[0] // 2, channels[0], 3)
    for stage, (width, depth) in enumerate(zip(channels, depths)):
        for index in range(depth):
            block = f"{encoder}.layers.{stage}.blocks.{index}"
            if stage == 0:
                conv_norm(f"{block}.conv1", width, 4 * width)
                conv_norm(f"{block}.conv2", 4 * width, 4 * width, 3, groups=4 * width)
                conv_norm(f"{block}.conv3", 4 * width, width)
                continue
            norm(f"{block}.attn.norm", width)
            linear(f"{block}.attn.qkv", width, 3 * width)
            linear(f"{block}.attn.proj", width, width)
            shapes[f"{block}.attn.attention_biases"] = (heads[stage], windows[stage] ** 2)
            shapes[f"{block}.attn.med_attention_biases"] = (1,)
            shapes[f"{block}.attn.deep_QKV_embeddings_med"] = (heads[stage], 1, width // heads[stage])
            mlp(f"{block}.mlp", width)
            conv_norm(f"{block}.local_conv", width, width, 3, groups=width)
            mlp(f"{block}.med_dah", width)
        if stage < 3:
            merge, after = f"{encoder}.layers.{stage}.downsample", channels[stage + 1]
            conv_norm(f"{merge}.conv1", width, after)
            conv_norm(f"{merge}.conv2", after, after, 3, groups=after)
            conv_norm(f"{merge}.conv3", after, after)
    norm(f"{encoder}.norm_head", channels[-1])
    linear(f"{encoder}.head", channels[-1], 1000)
    shapes[f"{encoder}.neck.0.weight"] = (embedding, channels[-1], 1, 1)
    norm(f"{encoder}.neck.1", embedding)
    shapes[f"{encoder}.neck.2.weight"] = (embedding, embedding, 3, 3)
    norm(f"{encoder}.neck.3", embedding)

    shapes["prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"] = (2, embedding // 2)
    for name in (*(f"point_embeddings.{index}" for index in range(4)), "not_a_point_embed", "no_mask_embed"):
        shapes[f"prompt_encoder.{name}.weight"] = (1, embedding)
    conv("prompt_encoder.mask_downscaling.0", 1, 4, 2)
    norm("prompt_encoder.mask_downscaling.1", 4)
    conv("prompt_encoder.mask_downscaling.3", 4, 16, 2)
    norm("prompt_encoder.mask_downscaling.4", 16)
    conv("prompt_encoder.mask_downscaling.6", 16, embedding, 1)

    transformer = "mask_decoder.transformer"
    for index in range(decoder_depth):
        layer = f"{transformer}.layers.{index}"
        attention(f"{layer}.self_attn", embedding, embedding)
        attention(f"{layer}.cross_attn_token_to_image", embedding, embedding // 2)
        attention(f"{layer}.cross_attn_image_to_token", embedding, embedding // 2)
        linear(f"{layer}.mlp.lin1", embedding, decoder_mlp)
        linear(f"{layer}.mlp.lin2", decoder_mlp, embedding)
        for number in range(1, 5):
            norm(f"{layer}.norm{number}", embedding)
    attention(f"{transformer}.final_attn_token_to_image", embedding, embedding // 2)
    norm(f"{transformer}.norm_final_attn", embedding)
    for index, inputs, outputs in ((0, embedding, embedding // 4), (3, embedding // 4, embedding // 8)):
        shapes[f"mask_decoder.output_upscaling.{index}.weight"] = (inputs, outputs, 2, 2)
        shapes[f"mask_decoder.output_upscaling.{index}.bias"] = (outputs,)
    norm("mask_decoder.output_upscaling.1", embedding // 4)
    for index, outputs in enumerate((embedding, embedding, embedding // 8)):
        linear(f"mask_decoder.output_hypernetworks_mlps.0.layers.{index}", embedding, outputs)

    conv("patch_decoder.0", embedding, 64, 2)
    norm("patch_decoder.1", 64)
    conv("patch_decoder.3", 64, 1, 1)
    conv("dense_prompter.0", 1, embedding, 1)
    norm("dense_prompter.1", embedding)
    shapes["mask_query.weight"] = (7, embedding)
    return shapes


def release_state(seed=0, **sizes):
    """A state dict of these shapes with random values."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in release_shapes(**sizes).items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(0)
        elif name.endswith("running_var"):
            state[name] = torch.rand(shape, generator=generator) + 0.5
        else:
            spread = 1 / math.sqrt(math.prod(shape[1:])) if len(shape) > 1 else 0.2
            state[name] = torch.randn(shape, generator=generator) * spread
    return state
