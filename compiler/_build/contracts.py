"""Two import contracts that import-linter does not bring along.

pyproject.toml names them under [tool.importlinter]; `make layers` checks them.
"""

import sys

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class AllowedThirdParties(Contract):
    """A package imports the standard library, its own project and the listed third parties.

    A list of what is allowed, unlike a list of what is forbidden, holds for dependencies
    that the project does not have yet.
    """

    type_name = "allowed"

    source_package = fields.StringField()
    third_parties = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        package = str(self.source_package)
        project = package.partition(".")[0]
        allowed = {project, *sys.stdlib_module_names, *map(str, self.third_parties)}  # type: ignore[call-overload]
        broken = [
            (importer, imported)
            for importer in sorted({package, *graph.find_descendants(package)})
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if imported.partition(".")[0] not in allowed
        ]
        return ContractCheck(kept=not broken, metadata={"imports": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        _print_imports(check)


class PrivateModules(Contract):
    """A module or package named `_x` is imported only from the package that holds it."""

    type_name = "private"

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        project = {name.partition(".")[0] for name in self.session_options["root_packages"]}
        broken = [
            (importer, imported)
            for imported in sorted(graph.modules)
            if imported.partition(".")[0] in project and (home := _home(imported))
            for importer in sorted(graph.find_modules_that_directly_import(imported))
            if importer != home and not importer.startswith(home + ".")
        ]
        return ContractCheck(kept=not broken, metadata={"imports": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        _print_imports(check)


def _home(module: str) -> str:
    """The package that holds the first private part of a dotted name; empty if it has none."""
    parts = module.split(".")
    private = (i for i, part in enumerate(parts) if part.startswith("_") and part[1:2] != "_")
    return ".".join(parts[: next(private, 0)])


def _print_imports(check: ContractCheck) -> None:
    for importer, imported in check.metadata["imports"]:
        output.print_error(f"- {importer} -> {imported}", bold=False)
    output.new_line()
