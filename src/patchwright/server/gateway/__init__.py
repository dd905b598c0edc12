# SPDX-License-Identifier: Apache-2.0
"""Edge: what agents call: enrolment, long poll, facts, plans."""
