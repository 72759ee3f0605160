"""Words that tell what a line at the head of a document is; small letters, in the languages of most letters
that this program will meet (English, German, French, Spanish, Italian, Dutch)."""

from __future__ import annotations

LEGAL_FORMS = frozenset(
    """ltd limited inc incorporated llc llp plc corp corporation gmbh ag kg ohg ug mbh ev sa sas sarl srl spa
    bv nv oy oyj ab asa aps pty pvt sro zrt kft sl slu lda kk""".split()
)
"""Last word of a firm's name, without its points."""

ORGANISATIONS = frozenset(
    """administration agency association authority bank board bureau centre center college commission
    committee company corporation council court department directorate division foundation government group
    hospital institute institution laboratory ministry office organisation organization school secretariat
    service services society trust union university
    amt behörde bundesamt gericht gesellschaft hochschule institut kommission ministerium stadt stiftung
    universität verband verein
    académie association commission conseil cour département direction ministère mairie préfecture université
    asociación ayuntamiento banco comisión consejo fundación instituto ministerio universidad
    comune fondazione ministero regione università gemeente ministerie stichting universiteit""".split()
)
"""A line with one of these may be a letterhead."""

RECURRING_KINDS = frozenset(
    """agenda bill bulletin circular diary invoice journal letter log memo memorandum message minutes
    newsletter note notes notice order quotation quote receipt record report reports statement summary
    transcript update
    angebot auftrag bericht besprechungsprotokoll brief lieferschein mitteilung protokoll rechnung
    rundschreiben tagesordnung bulletin compte-rendu devis facture lettre note procès-verbal rapport
    acta carta circular factura informe nota bollettino fattura lettera relazione verbale
    factuur nieuwsbrief notulen offerte verslag""".split()
)
"""Kinds of documents that come again and again under one name: only a date or number tells them apart."""

KINDS = RECURRING_KINDS | frozenset(
    """accounts act agreement analysis application assessment brief brochure budget case catalogue catalog
    certificate charter code contract datasheet decision declaration deed directive directory evaluation
    form framework guidance guide guideline guidelines handbook instructions inventory judgment judgement
    lease licence license list manual opinion order paper permit plan policy prescription presentation
    procedure procedures programme program proposal prospectus protocol questionnaire register regulation
    regulations resolution review roadmap rules schedule specification standard statute strategy study survey
    syllabus terms thesis tutorial warranty will
    abkommen anleitung antrag bescheid betriebsanleitung gutachten handbuch leitfaden liste ordnung plan
    richtlinie satzung studie urteil vereinbarung vertrag verordnung vollmacht zeugnis
    accord arrêté attestation bail contrat convention guide loi manuel politique règlement statuts étude
    acuerdo contrato estatutos estudio guía ley manual plan política reglamento
    accordo contratto guida legge manuale piano regolamento statuto studio
    beleid contract gids handleiding overeenkomst reglement""".split()
)

CLASSIFICATION = frozenset(
    """classified confidence confidential draft embargoed internal privileged proprietary restricted sensitive
    unclassified uncontrolled vertraulich intern entwurf geheim confidentiel confidencial borrador riservato
    bozza vertrouwelijk""".split()
)
"""A line of these, and perhaps of `NOT_TELLING`, says who may read a document, not what it is."""

NOT_TELLING = frozenset(
    """commercial company copy distribution final for in and not of official only or personal private public
    secret strictly the to top und use""".split()
)

DATE_WORDS = frozenset(
    """january february march april may june july august september october november december
    jan feb mar apr jun jul aug sep sept oct nov dec monday tuesday wednesday thursday friday saturday sunday
    mon tue tues wed thu thur thurs fri sat sun
    januar februar märz mai juni juli oktober dezember montag dienstag mittwoch donnerstag freitag samstag
    sonntag janvier février mars avril juin juillet août septembre octobre novembre décembre lundi mardi
    mercredi jeudi vendredi samedi dimanche enero febrero marzo abril mayo junio julio agosto septiembre
    octubre noviembre diciembre lunes martes miércoles jueves viernes sábado domingo
    st nd rd th am pm utc gmt est edt cst cdt mst mdt pst pdt cet cest bst uhr z t q
    date dated time datum uhrzeit heure fecha hora data ora tijd created updated modified printed published
    issued revised effective
    at on of the from to den le el de um à""".split()
)
"""A line of these and digits alone is a date or a time."""

NOT_A_DOCUMENTS_NUMBER = frozenset(
    """account bank building company contact customer employer fax flat floor house iban id line mobile page
    pages phone part person registered registration room serial tax tel telephone unit vat version year
    member staff
    employee passport social insurance""".split()
)
"""Numbers of other things than the document."""

EMPTY_NAMES = frozenset(
    """attachment copy copie doc docs document documents dokument download draft export file final image img
    kopie neu new ohne output page pdf print scan scanned text titel title unbenannt untitled version word
    fertig signed rev txt the and for""".split()
)
"""Words of a file's name that say nothing."""
