"""Language codes: the three letters of ISO 639-3 for the two of ISO 639-1."""

from __future__ import annotations

_TWO_TO_THREE = """
aa aar|ab abk|ae ave|af afr|ak aka|am amh|an arg|ar ara arb|as asm|av ava|ay aym ayr|az aze azj azb
ba bak|be bel|bg bul|bi bis|bm bam|bn ben|bo bod|br bre|bs bos|ca cat|ce che|ch cha|co cos|cr cre|cs ces
cu chu|cv chv|cy cym|da dan|de deu|dv div|dz dzo|ee ewe|el ell|en eng|eo epo|es spa|et est ekk|eu eus
fa fas pes|ff ful|fi fin|fj fij|fo fao|fr fra|fy fry|ga gle|gd gla|gl glg|gn grn gug|gu guj|gv glv
ha hau|he heb|hi hin|ho hmo|hr hrv|ht hat|hu hun|hy hye|hz her|ia ina|id ind|ie ile|ig ibo|ii iii|ik ipk
io ido|is isl|it ita|iu iku|ja jpn|jv jav|ka kat|kg kon|ki kik|kj kua|kk kaz|kl kal|km khm|kn kan|ko kor
kr kau|ks kas|ku kur kmr ckb|kv kom kpv|kw cor|ky kir|la lat|lb ltz|lg lug|li lim|ln lin|lo lao|lt lit
lu lub|lv lav lvs|mg mlg plt|mh mah|mi mri|mk mkd|ml mal|mn mon khk|mr mar|ms msa zlm zsm|mt mlt|my mya
na nau|nb nob|nd nde|ne nep npi|ng ndo|nl nld|nn nno|no nor nob|nr nbl|nv nav|ny nya|oc oci|oj oji
om orm gaz|or ori ory|os oss|pa pan|pi pli|pl pol|ps pus pst pbt|pt por|qu que quz|rm roh|rn run|ro ron
ru rus|rw kin|sa san|sc srd|sd snd|se sme|sg sag|si sin|sk slk|sl slv|sm smo|sn sna|so som|sq sqi als
sr srp|ss ssw|st sot|su sun|sv swe|sw swa swh|ta tam|te tel|tg tgk|th tha|ti tir|tk tuk|tl tgl|tn tsn
to ton|tr tur|ts tso|tt tat|tw twi|ty tah|ug uig|uk ukr|ur urd|uz uzb uzn|ve ven|vi vie|vo vol|wa wln
wo wol|xh xho|yi yid ydd|yo yor|za zha|zh zho cmn|zu zul
"""
"""After each two-letter code its own three-letter code; of a macrolanguage, then its usual members."""

_CODES = {
    two: tuple(three)
    for two, *three in (
        entry.split() for entry in _TWO_TO_THREE.replace("\n", "|").split("|") if entry.strip()
    )
}


def three_letter_codes(language: str) -> tuple[str, ...]:
    """Return the ISO 639-3 codes of an ISO 639-1 language, likeliest first; none for an unknown one.

    Example:
        >>> three_letter_codes("zh")
        ('zho', 'cmn')
    """
    return _CODES.get(language, ())
