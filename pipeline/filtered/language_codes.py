"""The languages that `language.identify` knows, by code. (This module imports nothing, so that recipes can be checked
without Arrow and the model.)

Codes are ISO 639-1, or 639-3 where there is none. The model's labels differ from that in five places: "als" is given as
"gsw" (Alemannic; ISO's als is Tosk Albanian), "sh" as "hbs" (Serbo-Croatian), "bh" as "bih" (Bihari, a group of ISO
639-2); "eml" (Emilian-Romagnol, retired from 639-3) and "nah" (Nahuatl, a group of ISO 639-2) stay.
"""

# Of texts without a language: ISO 639-2's code for "undetermined".
UNDETERMINED = "und"

_LABELS = (
    "af", "als", "am", "an", "ar", "arz", "as", "ast", "av", "az", "azb", "ba", "bar", "bcl", "be", "bg", "bh", "bn",
    "bo", "bpy", "br", "bs", "bxr", "ca", "cbk", "ce", "ceb", "ckb", "co", "cs", "cv", "cy", "da", "de", "diq", "dsb",
    "dty", "dv", "el", "eml", "en", "eo", "es", "et", "eu", "fa", "fi", "fr", "frr", "fy", "ga", "gd", "gl", "gn",
    "gom", "gu", "gv", "he", "hi", "hif", "hr", "hsb", "ht", "hu", "hy", "ia", "id", "ie", "ilo", "io", "is", "it",
    "ja", "jbo", "jv", "ka", "kk", "km", "kn", "ko", "krc", "ku", "kv", "kw", "ky", "la", "lb", "lez", "li", "lmo",
    "lo", "lrc", "lt", "lv", "mai", "mg", "mhr", "min", "mk", "ml", "mn", "mr", "mrj", "ms", "mt", "mwl", "my", "myv",
    "mzn", "nah", "nap", "nds", "ne", "new", "nl", "nn", "no", "oc", "or", "os", "pa", "pam", "pfl", "pl", "pms", "pnb",
    "ps", "pt", "qu", "rm", "ro", "ru", "rue", "sa", "sah", "sc", "scn", "sco", "sd", "sh", "si", "sk", "sl", "so",
    "sq", "sr", "su", "sv", "sw", "ta", "te", "tg", "th", "tk", "tl", "tr", "tt", "tyv", "ug", "uk", "ur", "uz", "vec",
    "vep", "vi", "vls", "vo", "wa", "war", "wuu", "xal", "xmf", "yi", "yo", "yue", "zh",
)  # fmt: skip
_RENAMED = {"als": "gsw", "sh": "hbs", "bh": "bih"}

# The code of each label that the model gives.
CODES = {f"__label__{label}": _RENAMED.get(label, label) for label in _LABELS}

# The codes that a document can get, besides `UNDETERMINED`.
LANGUAGES = frozenset(CODES.values())
