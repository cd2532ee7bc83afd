# tests/: see HACKING.md, "Adding a file"
EXTRA_DIST += tests/package/build-and-install tests/package/in-the-chroot tests/packages.txt \
	build-aux/packages.txt build-aux/install-packages admin/quickstart .clang-format quickstart runtests .ci

# Style, layering, link sets, documents: HACKING.md says what each check looks for.
.PHONY: lint
lint: all
	$(AM_V_at)/usr/bin/python3 $(top_srcdir)/tests/lint/lint.py --srcdir $(top_srcdir) --builddir .

# A real instance and real clients; CONGVU_BUILD names a build folder that was installed below its root/.
.PHONY: check-system check-valgrind check-asan torture
check-system:
	CONGVU_BUILD=$(abs_builddir) /usr/bin/python3 -m pytest -q $(top_srcdir)/tests/system

# Each role killed a hundred times under load, each part hung and starved, the disk filled; what was found is in fire.log. About an hour: a role that dies again and again is
# started again after up to 2 s.
CONGVU_KILLS = 100
torture:
	rm -f fire.log
	CONGVU_BUILD=$(abs_builddir) CONGVU_KILLS=$(CONGVU_KILLS) CONGVU_FIRE_LOG=$(abs_builddir)/fire.log /usr/bin/python3 -m pytest -q \
	  $(top_srcdir)/tests/system/test_fire.py $(top_srcdir)/tests/system/test_durability.py

check-asan:
	$(abs_top_srcdir)/runtests --asan

check-valgrind: $(check_PROGRAMS)
	@for t in $(check_PROGRAMS); do echo "valgrind $$t"; \
	  srcdir=$(srcdir) valgrind -q --suppressions=$(srcdir)/tests/valgrind.supp --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite \
	    ./$$t >$$t.vg.log 2>&1 || { tail -n 40 $$t.vg.log; exit 1; }; done

# The distribution has what tests read: headers, samples, corpora (they are not all in some _SOURCES).
dist-hook:
	cd $(srcdir) && find tests -type f \( -name '*.*' -o -path '*/corpus/*' -o -path '*/data/*' \) ! -name '*.o' ! -name '*.a' \
	  ! -name '*.trs' ! -name '*.log' ! -name '*.pyc' ! -path '*/.deps/*' ! -name .dirstamp | \
	  tar -cf - -T - | (cd $(abs_builddir)/$(distdir) && tar -xf - --skip-old-files)

# Minutes: the Debian package, built and installed into a bare Debian 12, with a site made there.
.PHONY: check-package
check-package:
	CONGVU_BUILD=$(abs_builddir) $(top_srcdir)/tests/package/build-and-install
