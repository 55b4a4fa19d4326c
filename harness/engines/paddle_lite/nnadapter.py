"""The devices behind NNAdapter."""

from __future__ import annotations

__all__ = ["NNADAPTER_DEVICES"]

NNADAPTER_DEVICES = (
    "amlogic_npu",
    "android_nnapi",
    "cambricon_mlu",
    "eeasytech_npu",
    "huawei_ascend_npu",
    "huawei_kirin_npu",
    "imagination_nna",
    "kunlunxin_xtcl",
    "mediatek_apu",
    "qualcomm_qnn",
    "rockchip_npu",
    "verisilicon_timvx",
)
"""The NPUs that opt v2.13-rc takes as targets of ``.nb`` files, beside ``arm`` for what an NPU
cannot do: each was tried. Its help leaves some out, and NNAdapter knows more."""
