-- P22 and P24: programs, whatever they are called and wherever they hide; from citizens too; in signed mail too.
for _, name in ipairs { "exe_as_pdf.eml", "exe.eml", "rtlo.eml", "zip_exe.eml", "signed_exe.eml", "opaque_exe.eml", "exe_in_sig.eml", "careless_opaque.eml", "p7m_by_name.eml", "partial.eml",
	"early_pad.eml", "double.eml", "nested_zip.eml", "script.eml", "python.eml" } do
	refused_somehow(send { mail = name, from = "<dan@citizen.example>", qid = name }, name)
end
for _, name in ipairs { "pdf.eml", "docx.eml", "version_name.eml" } do
	accepted(send { mail = name, from = "<dan@citizen.example>" }, name)
end
