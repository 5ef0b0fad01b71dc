"""What stops plugins of the pinned Volatility 3 (2.28): what newer kernels have otherwise, and memory that changed while it was read.

Each was seen with Debian's 7.3 (docs/kernels.md), by its BTF, its symbols and what the plugins did: ``struct taint_flag`` has no member
``module``; the timekeepers are an array ``timekeeper_data`` and there is no ``tk_core``; the kobject of a loaded module has no more than
the two references at which Volatility takes it for one that is built in. A kernel that has the old form is read as before.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any


def apply() -> None:
    """Apply all of them. To be called once, before anything is read."""
    flags_without_module()
    timekeepers()
    modules_in_sysfs()
    areas_without_inode()


def flags_without_module() -> None:
    """A taint flag that does not say whether it is shown for modules is shown for them."""
    tainting: Any = importlib.import_module("volatility3.framework.symbols.linux.utilities.tainting").Tainting
    asked = tainting._get_kernel_taint_flags_list.__wrapped__

    def listed(cls: Any, context: Any, kernel_module_name: str) -> Any:
        flags = asked(cls, context, kernel_module_name)
        if not flags or flags[0].has_member("module"):
            return flags
        return [_Flag(flag.c_true, flag.c_false) for flag in flags]

    kept: Any = functools.lru_cache(listed)  # asked for every module
    tainting._get_kernel_taint_flags_list = classmethod(kept)


class _Flag:
    """A flag of a kernel without ``taint_flag.module``."""

    module = True

    def __init__(self, shown: int, otherwise: int) -> None:
        self.c_true, self.c_false = shown, otherwise


def timekeepers() -> None:
    """The boot time out of the first timekeeper of ``timekeeper_data``, where there is no ``tk_core``."""
    extensions: Any = importlib.import_module("volatility3.framework.symbols.linux.extensions")
    linux: Any = importlib.import_module("volatility3.framework.symbols.linux")
    task = extensions.task_struct
    asked = task._get_boottime_raw

    def boottime(self: Any) -> Any:
        kernel = linux.LinuxUtilities.get_module_from_volobj_type(self._context, self)
        if kernel.has_symbol("tk_core") or not kernel.has_symbol("timekeeper_data"):
            return asked(self)
        data: Any = kernel.get_symbol("timekeeper_data")
        # the core's is the first; an array's elements begin where it does
        core = kernel.object("tk_data", offset=data.address).timekeeper
        return extensions.Timespec64Concrete.new_from_nsec(core.offs_real - core.offs_boot)

    task._get_boottime_raw = boottime


def modules_in_sysfs() -> None:
    """Every entry of ``module_kset`` with a module behind it, whatever its references; what is built in has none."""
    utilities: Any = importlib.import_module("volatility3.framework.symbols.linux.utilities.modules")
    objects: Any = importlib.import_module("volatility3.framework.objects.utility")
    errors: Any = importlib.import_module("volatility3.framework.exceptions")
    asked = utilities.Modules.get_kset_modules.__func__

    def loaded(cls: Any, context: Any, vmlinux_name: str) -> dict[str, Any]:
        found: dict[str, Any] = asked(cls, context, vmlinux_name)
        kernel = context.modules[vmlinux_name]
        place = kernel.get_type("module_kobject").relative_child_offset("kobj")
        entries = kernel.object_from_symbol("module_kset").list
        for entry in entries.to_list(f"{kernel.symbol_table_name}!kobject", "entry"):
            try:
                module = kernel.object("module_kobject", offset=entry.vol.offset - place, absolute=True).mod
                if module and module.is_readable():
                    found.setdefault(objects.pointer_to_string(entry.name, 32), module)
            except errors.InvalidAddressException:
                continue  # memory changed while it was read
        return found

    utilities.Modules.get_kset_modules = classmethod(loaded)


def areas_without_inode() -> None:
    """A mapping whose file leads to no inode (memory changed while it was read) is no valid one; it does not end the plugin."""
    extensions: Any = importlib.import_module("volatility3.framework.symbols.linux.extensions")
    area = extensions.vm_area_struct
    asked = area.is_valid

    def valid(self: Any) -> bool:
        try:
            return bool(asked(self))
        except AttributeError:
            if self.vm_file != 0 and self.vm_file.get_inode() is None:
                return False
            raise

    area.is_valid = valid
