"""Self-contained HTML pages, and the tables and pictures beside them; nothing here writes files."""

from evaluation.pages.page import Section, page
from evaluation.pages.rating_files import rating_files
from evaluation.pages.rating_page import rating_page
from evaluation.pages.rating_report import RatingReport, rating_content

__all__ = ["RatingReport", "Section", "page", "rating_content", "rating_files", "rating_page"]
