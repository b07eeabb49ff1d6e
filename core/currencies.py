"""Currencies and their minor units: ISO 4217, and the operator's own units of credits beside them.

The table is ISO's own, not CLDR's, which counts the decimals that people write by hand and gives, for
example, none for RSD, where ISO and the banks have two. Codes without a minor unit (gold, the SDR) are not
money that can be charged and are left out; recently withdrawn ones stay, because documents carry them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from core.errors import InvalidRequest

_NO_DECIMALS: Final = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_TWO_DECIMALS: Final = """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF
    CHE CHF CHW CNY COP COU CRC CUC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ
    GYD HKD HNL HRK HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD
    MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD
    RUB SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH
    USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG ZWL
"""
_THREE_DECIMALS: Final = "BHD IQD JOD KWD LYD OMR TND"
_FOUR_DECIMALS: Final = "CLF UYW"

ISO_DECIMALS: Final[Mapping[str, int]] = {
    code: decimals
    for decimals, codes in ((0, _NO_DECIMALS), (2, _TWO_DECIMALS), (3, _THREE_DECIMALS), (4, _FOUR_DECIMALS))
    for code in codes.split()
}

CurrencyDecimals = Callable[[str], int]
"""Gives the decimals in which documents round a currency; raises InvalidRequest `unknown_currency`."""


def iso_decimals(code: str) -> int:
    """The digits of an ISO 4217 currency's minor unit; raises InvalidRequest `unknown_currency`."""
    return _decimals_in(ISO_DECIMALS, code)


def decimals_with_units(unit_decimals: Mapping[str, int]) -> CurrencyDecimals:
    """ISO's currencies and the operator's own units (code to decimals); ISO's code wins over a unit's."""
    table = {**unit_decimals, **ISO_DECIMALS}
    return lambda code: _decimals_in(table, code)


def _decimals_in(table: Mapping[str, int], code: str) -> int:
    if code not in table:
        raise InvalidRequest(
            "unknown_currency",
            "currency must be an ISO 4217 code in capitals, such as USD, or one of your own units.",
            "currency",
        )
    return table[code]
