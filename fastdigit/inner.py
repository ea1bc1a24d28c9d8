"""Functions that only compiled code calls: they become part of it, and nothing of their own.

Numba optimises each function twice and turns it into machine code before it is linked into those
that call it, where all is done again. For a function that is never called otherwise, one cheap
optimisation is enough beforehand, so that there is less to be linked, and no machine code at all:
a first run compiles for less time. Custom pipelines are described in Numba's developer manual,
"Customizing the Compiler".
"""

from typing import Any

from numba import _dynfunc
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import LoweringPass, register_pass
from numba.core.typed_passes import AnnotateTypes, NativeLowering


class InnerLibrary(JITCodeLibrary):  # type: ignore[misc]  # Numba has no types
    """LLVM's form of a function, to be linked into those of others."""

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self) -> None:
        passes, builder = self._codegen._module_pass_manager(
            loop_vectorize=False, slp_vectorize=False, opt=self._codegen._opt_level, cost="cheap"
        )
        passes.run(self._final_module, builder)

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


class _Pass(LoweringPass):  # type: ignore[misc]
    _name = "inner"

    def __init__(self) -> None:
        """Is abstract in Numba."""


@register_pass(mutates_CFG=False, analysis_only=False)
class _Begin(_Pass):
    """Has the function that is compiled end in an `InnerLibrary`."""

    def run_pass(self, state: Any) -> bool:
        state.library = InnerLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True
        return False


@register_pass(mutates_CFG=False, analysis_only=False)
class _End(_Pass):
    """Tells others of the function, which Numba does only for those with machine code."""

    def run_pass(self, state: Any) -> bool:
        form = state["cr"].fndesc
        nowhere = 0
        # Callers find the function by this object, which nothing calls.
        key = _dynfunc.make_function(
            form.lookup_module(), form.qualname, "", nowhere, state["cr"].env, (state.library,)
        )
        state.targetctx.insert_user_function(key, form, [state.library])
        state["cr"] = state["cr"]._replace(cfunc=key)
        return False


class InnerCompiler(CompilerBase):  # type: ignore[misc]
    """Numba's own steps, but for those around the last one."""

    def define_pipelines(self) -> list[Any]:
        """Return the one pipeline there is."""
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.add_pass_after(_Begin, AnnotateTypes)
        passes.add_pass_after(_End, NativeLowering)
        passes.finalize()
        return [passes]
